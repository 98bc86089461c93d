"""The dense student: one sentence-transformers encoder for queries and documents."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from retkd.collections.base import Collection
from retkd.parts import AnyModel, Part
from retkd.students.adaptations import AnyAdaptation
from retkd.students.inheritance import texts_of
from retkd.students.initialisation import Layers
from retkd.students.steps import AnyInheritance

if TYPE_CHECKING:
    from retkd.companion import Companion
    from retkd.encoder import Encoder


class Dense(Part):
    """An encoder taken out of a bigger one. A sentence-transformers folder gives its pooling and prompts; a bare
    transformers folder gets mean pooling."""

    LATER: ClassVar[tuple[str, ...]] = ("initialisation", "adaptation")

    kind: Literal["dense"] = "dense"
    base: AnyModel
    layers: Layers = None
    initialisation: list[AnyInheritance] = Field(
        default=[], description="what else makes it smaller than its base, after `layers`, in this order"
    )
    max_length: int | None = Field(default=None, ge=4, description="tokens, prompt included; default: as the base")
    pooling: Literal["mean", "cls", "lasttoken", "max"] | None = None
    normalize: bool = True
    prompts: dict[Literal["query", "document"], str] | None = None
    freeze_embeddings: bool = Field(default=False, description="word embeddings stay those of the base")
    dropout: float | None = Field(
        default=None, ge=0.0, lt=1.0, description="hidden and attention; default: as the base"
    )

    adaptation: AnyAdaptation | None = Field(
        default=None, description="which weights are trained, and when; default: all, throughout"
    )

    @model_validator(mode="after")
    def _adapter_fits_the_base(self) -> "Dense":
        if getattr(self.adaptation, "keep_adapter", False) and (self.layers is not None or self.initialisation):
            raise ValueError(
                "`keep_adapter` needs the whole base: an adapter of fewer layers or dimensions fits no model"
            )
        return self

    def companion(self, encoder: "Encoder") -> "Companion | None":
        """What goes along with the training of this student."""
        found: Companion | None = self.adaptation and self.adaptation.companion(encoder, self.base)
        return found

    def build(self, folder: Path, device: str, collection: Collection | None = None) -> "Encoder":
        """The untrained student from the base checkpoint in ``folder``, made for ``collection`` where a step asks for one."""
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.base.modules import Normalize, Transformer

        from retkd.encoder import Encoder
        from retkd.students.initialisation import keep_layers, set_dropout

        base = SentenceTransformer(str(folder), device="cpu")
        transformer = base[0]
        if not isinstance(transformer, Transformer):
            raise _not_a_transformer(folder, transformer)
        prompts: Any = self.prompts if self.prompts is not None else dict(base.prompts or {})
        keep_layers(transformer.auto_model, self.layers, where=f"{self.base}")
        for step in self.initialisation:
            transformer = step.inherit(transformer, texts_of(collection, prompts, self.base), self.base)
        if self.freeze_embeddings:
            transformer.auto_model.get_input_embeddings().requires_grad_(False)
        if self.dropout is not None:
            set_dropout(transformer.auto_model, self.dropout)
        pooling = self._pooling(base, transformer.get_embedding_dimension())
        modules: list[Any] = [transformer, pooling, *([Normalize()] if self.normalize else [])]
        model = SentenceTransformer(modules=modules, prompts=prompts, device=device)
        if self.max_length is not None:
            _require_positions(self.max_length, transformer.auto_model.config, folder)
            model.max_seq_length = self.max_length
        return Encoder(model)

    def _pooling(self, base: Any, dim: int) -> Any:
        """The base's own pooling, brought to the student's width; where it has none, or another is asked for, a new one."""
        from sentence_transformers.sentence_transformer.modules import Pooling

        own = next((module for module in base if isinstance(module, Pooling)), None)
        if own is None or self.pooling is not None:
            return Pooling(dim, pooling_mode=self.pooling or "mean")
        return Pooling(dim, pooling_mode=own.pooling_mode, include_prompt=own.include_prompt)


def _require_positions(max_length: int, config: Any, folder: Path) -> None:
    from retkd.errors import ModelError

    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and max_length > positions:
        raise ModelError(
            "the student's max_length is beyond the positions that its base knows",
            where=folder,
            seen=max_length,
            allowed=f"4 to {positions}",
            next_step="lower student.max_length, or choose a base for longer texts",
        )


def _not_a_transformer(folder: Path, module: object) -> Exception:
    from retkd.errors import ModelError

    return ModelError(
        "the student's base does not begin with a transformer",
        where=folder,
        seen=type(module).__name__,
        allowed="a sentence-transformers or transformers text encoder",
        next_step="choose another base for the student",
    )
