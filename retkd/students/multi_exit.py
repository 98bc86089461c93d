"""The student with several exits: one training, and a model of its own for each depth."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from retkd.collections.base import Collection
from retkd.students.dense import Dense
from retkd.students.heads import head
from retkd.students.initialisation import First, keep_layers

if TYPE_CHECKING:
    from retkd.encoders.encoder import Encoder
    from retkd.encoders.exits import ExitEncoder

CHECKED = ("a text to compare by", "and another, which is longer than the first one")
MOST_APART = 1e-4


class MultiExit(Dense):
    """A dense student whose objective is applied after several numbers of layers, with shared layers and pooling.

    Each exit is published as a model that stands alone and that other stages name as ``STAGE:exitN``; ``STAGE`` itself is
    the last one. Their vectors are not interchangeable: each needs an index of its own. Weights of the exits' losses:
    ``depth``, layers divided by all layers, as ModularStarEncoder has them, or a list. ``heads`` gives each exit a linear
    map of its own, which begins as the identity.
    """

    kind: Literal["multi_exit"] = "multi_exit"  # type: ignore[assignment]
    exits: list[PositiveInt] = Field(
        min_length=1, description="numbers of layers, rising; the last is all that are kept"
    )
    exit_weights: Literal["depth"] | list[PositiveFloat] = "depth"
    heads: bool = Field(default=False, description="a linear map of its own for each exit")

    @model_validator(mode="after")
    def _consistent(self) -> "MultiExit":
        if self.exits != sorted(set(self.exits)):
            raise ValueError(f"exits are numbers of layers that rise, such as [2, 4, 6], not {self.exits}")
        if self.exit_weights != "depth" and len(self.exit_weights) != len(self.exits):
            raise ValueError(f"{len(self.exits)} exits, but {len(self.exit_weights)} exit_weights: give one each")
        return self

    @property
    def needs_whole_passes(self) -> str | None:
        """Always: exits are read inside the transformer."""
        return "a student with exits"

    @property
    def folders(self) -> dict[str, str]:
        """That of each exit."""
        early = {f"exit{exit}": f"models/exit{exit}" for exit in self.exits[:-1]}
        return {**early, f"exit{self.exits[-1]}": "model"}

    @property
    def weights(self) -> list[float]:
        """One per exit, not normalised.

        >>> [round(w, 4) for w in MultiExit(base="b", exits=[4, 9, 18, 27, 36]).weights]
        [0.1111, 0.25, 0.5, 0.75, 1.0]
        """
        if self.exit_weights == "depth":
            return [exit / self.exits[-1] for exit in self.exits]
        return list(self.exit_weights)

    def build(self, folder: Path, device: str, collection: Collection | None = None) -> "ExitEncoder":
        """The untrained student. Raises :class:`ModelError` where an early exit is not what fewer layers would give."""
        from torch import nn

        from retkd.encoders.exits import ExitEncoder
        from retkd.layers import stack_shape

        encoder = super().build(folder, device, collection)
        self.require_all_layers(stack_shape(encoder.model[0].auto_model).layers)
        heads = nn.ModuleDict()
        if self.heads:
            encoder = _with_head(encoder)
            heads = nn.ModuleDict({str(exit): head(encoder.dim) for exit in self.exits[:-1]}).to(encoder.model.device)
        built = ExitEncoder(encoder.model, self.exits, heads)
        _require_exact(built, self.base)
        return built

    def require_all_layers(self, num_layers: int) -> None:
        """Raise :class:`ModelError` where the student keeps another number of layers than the last exit is after."""
        from retkd.errors import ModelError

        if self.exits[-1] != num_layers:
            raise ModelError(
                "the last exit is after the last layer, and the student has another number of layers",
                where=f"student.exits of {self.base}",
                seen=f"exits {self.exits}, {num_layers} layers",
                allowed=f"exits that end with {num_layers}",
                next_step=f"add {num_layers} to `exits`, or keep fewer `layers`",
            )


def exit_model(encoder: "ExitEncoder", exit: int) -> "Encoder":
    """The model of one exit alone: its layers, the final norm, its head; a copy."""
    from sentence_transformers import SentenceTransformer

    from retkd.encoders.encoder import Encoder

    if exit == encoder.exits[-1]:
        return Encoder(encoder.model)
    transformer, *after = list(encoder.model)
    modules: list[Any] = copy.deepcopy([transformer, *encoder.modules_after(exit, after)])
    keep_layers(modules[0].auto_model, First(first=exit), where=f"exit {exit}")
    prompts = dict(encoder.model.prompts or {})
    return Encoder(SentenceTransformer(modules=modules, prompts=prompts, device=str(encoder.model.device)))


def _with_head(encoder: "Encoder") -> "Encoder":
    """The encoder with a head after its pooling."""
    from sentence_transformers import SentenceTransformer

    from retkd.encoders.encoder import Encoder

    transformer, pooling, *after = list(encoder.model)
    modules: list[Any] = [transformer, pooling, head(encoder.dim), *after]
    prompts = dict(encoder.model.prompts or {})
    return Encoder(SentenceTransformer(modules=modules, prompts=prompts, device=str(encoder.model.device)))


def _require_exact(encoder: "ExitEncoder", base: str) -> None:
    """Some architectures do more between layers or after the last one than a stack of layers shows."""
    import torch

    was_training = encoder.model.training
    encoder.model.eval()
    features = encoder.features(encoder.tokenize(CHECKED, "document"), "document")
    with torch.no_grad():
        found = encoder.vectors(dict(features))
        for exit in encoder.exits[:-1]:
            alone = exit_model(encoder, exit).model.eval()(dict(features))["sentence_embedding"]
            _require_near(found[exit], alone, exit, base)
    encoder.model.train(was_training)


def _require_near(found: Any, alone: Any, exit: int, base: str) -> None:
    from retkd.errors import ModelError

    apart = float((found - alone).abs().max())
    if not apart <= MOST_APART:
        raise ModelError(
            "an early exit of this architecture is not what its first layers alone give, so it could not be published",
            where=f"student.exits of {base}",
            seen=f"exit {exit}: vectors differ by {apart:.2g}",
            allowed=f"at most {MOST_APART}",
            next_step="train a student of kind dense with {first: n} layers for each depth",
        )
