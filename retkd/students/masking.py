"""What pruning masks of every extent share: they are drawn, pulled towards a size and settled; their layers are taught."""

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from retkd.batch import Batch
from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from retkd.students.hard_concrete import MOST, pull, sampled, target_at
from retkd.students.initialisation import keep_layers
from retkd.students.layer_teacher import LayerTeacher
from retkd.training.companion import Companion

if TYPE_CHECKING:
    from retkd.students.pruning import Prune


class Logits(nn.Module):
    """The logits of the masks, by name, and the multipliers, which are trained to make the loss larger."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], multiplier: float, learning_rate: float, device: Any):
        super().__init__()
        self.learning_rate, self.names = learning_rate, list(shapes)
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.full(shape, MOST, device=device)))
        self.multipliers = nn.Parameter(torch.full((2,), multiplier, device=device))
        self.multipliers.register_hook(torch.neg)  # type: ignore[no-untyped-call]

    def each(self) -> dict[str, nn.Parameter]:
        """Name -> logits of its masks."""
        return {name: self.get_parameter(name) for name in self.names}


class Masking(Companion):
    """Masks by name, one draw for all texts of a step. In evaluation they are settled at any time."""

    def __init__(self, part: "Prune", encoder: Encoder, base: str, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.part, self.base = part, base
        self.logits = Logits(shapes, part.multiplier, part.learning_rate, encoder.model.device)
        transformer = encoder.model[0].auto_model
        self.teacher = LayerTeacher(transformer, part.distillation, base) if part.distillation else None
        self.drawn: dict[str, Tensor] | None = None
        self.known: dict[str, Tensor] | None = None
        self.progress = 0.0
        self.hooks: list[Any] = []

    @property
    def expected_sparsity(self) -> Tensor:
        """The expected share of the layers' parameters that goes."""
        raise NotImplementedError

    def zeros_and_ones(self) -> dict[str, Tensor]:
        """The masks as they would be left now."""
        raise NotImplementedError

    def alive(self, masks: dict[str, Tensor]) -> list[int]:
        """The layers of which something is left."""
        return (masks["layers"] > 0).nonzero().flatten().tolist()

    def begin(self, progress: float) -> None:
        """Draw the masks of this step; none are drawn once they are settled."""
        self.progress, self.drawn, self.known = progress, None, None
        if progress < self.part.until:
            with torch.no_grad():
                for each in self.logits.each().values():
                    each.clamp_(-MOST, MOST)
            self.drawn = {name: sampled(each, _noise(each)) for name, each in self.logits.each().items()}
        if self.teacher is not None:
            self.teacher.begin()

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """The pull towards the sparsity, until the masks are settled, and the distillation of layers."""
        found = {}
        if self.drawn is not None:
            target = target_at(self.progress, self.part.sparsity, self.part.warmup)
            linear, quadratic = self.logits.multipliers
            found["sparsity"] = pull(self.expected_sparsity, target, linear, quadratic, self.part.two_sided)
        if self.teacher is not None:
            found["layers"] = self.teacher.loss(batch, self.alive(self.masks))
        return found

    @property
    def binary(self) -> dict[str, Tensor]:
        """Zeros and ones: the masks as they would be left now. Told once per step."""
        if self.known is None:
            self.known = {name: each.detach() for name, each in self.zeros_and_ones().items()}
        return self.known

    @property
    def masks(self) -> dict[str, Tensor]:
        """Those drawn for this step; zeros and ones once they are settled."""
        return self.binary if self.drawn is None else self.drawn

    def now(self, module: nn.Module, name: str, like: Tensor) -> Tensor:
        """The masks of that name as a module reads them: those of the step while it is trained, else the settled."""
        return (self.masks if module.training else self.binary)[name].to(like.dtype)

    def unhook(self) -> None:
        """The modules compute as they are again."""
        for hook in self.hooks:
            hook.remove()


def _noise(logits: Tensor) -> Tensor:
    return torch.rand_like(logits).clamp(1e-6, 1 - 1e-6)


def require_any_layer_can_go(transformer: Any, base: str) -> None:
    """Some architectures cannot do without their first layer; that is better known before the training than after it."""
    num_layers = transformer.config.num_hidden_layers
    if num_layers > 1:
        with torch.device("meta"):
            bare = type(transformer)(copy.deepcopy(transformer.config))
        keep_layers(bare, list(range(1, num_layers)), base)


def require_something_left(sparsity: float, least: int, whole: int, smallest: str, base: str) -> None:
    """Raises :class:`ModelError` where not even the ``smallest`` student, of ``least`` parameters, is small enough."""
    most = 1 - least / whole
    if sparsity > most:
        raise ModelError(
            "pruned so far, the student would have no layer left",
            where=f"student.adaptation of {base}",
            seen=f"sparsity {sparsity:g}",
            allowed=f"at most {most:.4f}: {smallest}",
        )
