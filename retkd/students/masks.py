"""The masks of :class:`retkd.students.pruning.Prune` on a transformer, throughout its training."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from retkd.batch import Batch
from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from retkd.layers import stack
from retkd.students.feed_forward import feed_forwards, size_name
from retkd.students.hard_concrete import (
    MOST,
    Sizes,
    chosen,
    expected_size,
    kept_probability,
    pull,
    sampled,
    target_at,
)
from retkd.students.initialisation import keep_layers
from retkd.students.layer_teacher import LayerTeacher
from retkd.training.companion import Companion

if TYPE_CHECKING:
    from retkd.students.pruning import Prune


class Logits(nn.Module):
    """The logits of the masks and the multipliers, which are trained to make the loss larger."""

    def __init__(self, num_layers: int, dims: int, multiplier: float, learning_rate: float, device: Any) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.layers = nn.Parameter(torch.full((num_layers,), MOST, device=device))
        self.inner = nn.Parameter(torch.full((num_layers, dims), MOST, device=device))
        self.multipliers = nn.Parameter(torch.full((2,), multiplier, device=device))
        self.multipliers.register_hook(torch.neg)  # type: ignore[no-untyped-call]


class Masks(Companion):
    """Hooks on each layer: its output is ``mask * output + (1 - mask) * input``, its intermediate dimensions are scaled."""

    def __init__(self, part: "Prune", encoder: Encoder, base: str) -> None:
        super().__init__()
        transformer = encoder.model[0].auto_model
        inner = feed_forwards(transformer, base)
        layers: list[nn.Module] = list(stack(transformer))
        _require_any_layer_can_go(transformer, base)
        dims = inner[0].out.in_features
        fixed = sum(p.numel() for p in layers[0].parameters()) - dims * inner[0].unit
        self.part, self.base, self.sizes = part, base, Sizes(fixed, inner[0].unit)
        _require_something_left(part.sparsity, self.sizes, len(layers), dims, base)
        self.logits = Logits(len(layers), dims, part.multiplier, part.learning_rate, encoder.model.device)
        self.teacher = LayerTeacher(transformer, part.distillation, base) if part.distillation else None
        self.drawn: tuple[Tensor, Tensor] | None = None
        self.known: tuple[Tensor, Tensor] | None = None
        self.progress = 0.0
        self._hook(layers, [each.out for each in inner])

    def begin(self, progress: float) -> None:
        """Draw the masks of this step; none are drawn once they are settled."""
        self.progress, self.drawn, self.known = progress, None, None
        if progress < self.part.until:
            with torch.no_grad():
                for each in (self.logits.layers, self.logits.inner):
                    each.clamp_(-MOST, MOST)
            layers, inner = (sampled(each, _noise(each)) for each in (self.logits.layers, self.logits.inner))
            self.drawn = layers, inner
        if self.teacher is not None:
            self.teacher.begin()

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """The pull towards the sparsity, until the masks are settled, and the distillation of layers."""
        found = {}
        if self.drawn is not None:
            target = target_at(self.progress, self.part.sparsity, self.part.warmup)
            found["sparsity"] = pull(self.expected_sparsity, target, *self.logits.multipliers)
        if self.teacher is not None:
            alive = (self.masks[0] > 0).nonzero().flatten().tolist()
            found["layers"] = self.teacher.loss(batch, alive)
        return found

    @property
    def expected_sparsity(self) -> Tensor:
        """The expected share of the layers' parameters that goes."""
        layers, inner = kept_probability(self.logits.layers), kept_probability(self.logits.inner)
        whole = expected_size(torch.ones_like(layers), torch.ones_like(inner), self.sizes)
        return 1 - expected_size(layers, inner, self.sizes) / whole

    @property
    def settled(self) -> dict[int, list[int]]:
        """Layer -> intermediate dimensions, as they would be left now."""
        return chosen(self.logits.layers.detach(), self.logits.inner.detach(), self.sizes, self.part.sparsity)

    @property
    def binary(self) -> tuple[Tensor, Tensor]:
        """Zeros and ones: the masks as they would be left now. Told once per step."""
        if self.known is None:
            layers, inner = torch.zeros_like(self.logits.layers), torch.zeros_like(self.logits.inner)
            for layer, dims in self.settled.items():
                layers[layer], inner[layer, dims] = 1.0, 1.0
            self.known = layers.detach(), inner.detach()
        return self.known

    @property
    def masks(self) -> tuple[Tensor, Tensor]:
        """Those drawn for this step; zeros and ones once they are settled."""
        return self.binary if self.drawn is None else self.drawn

    def finish(self, encoder: Encoder, out: Path) -> None:
        """Take out what the masks took out."""
        for hook in self.hooks:
            hook.remove()
        transformer, kept = encoder.model[0].auto_model, self.settled
        for layer, each in enumerate(feed_forwards(transformer, self.base)):
            if layer in kept:
                each.keep(kept[layer])
        keep_layers(transformer, list(kept), self.base)
        setattr(transformer.config, size_name(transformer.config), len(next(iter(kept.values()))))

    def _hook(self, layers: list[nn.Module], inner: list[nn.Linear]) -> None:
        def mask_layer(place: int) -> Any:
            def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
                state, rest = (output[0], output[1:]) if isinstance(output, tuple) else (output, None)
                mask = (self.masks if module.training else self.binary)[0][place].to(state.dtype)
                before = args[0] if args else kwargs["hidden_states"]
                masked = mask * state + (1 - mask) * before
                if self.teacher is not None and module.training:
                    self.teacher.see(place, masked)
                return masked if rest is None else (masked, *rest)

            return hook

        def mask_inner(place: int) -> Any:
            def hook(module: nn.Module, args: Any) -> Any:
                return (
                    args[0] * (self.masks if module.training else self.binary)[1][place].to(args[0].dtype),
                    *args[1:],
                )

            return hook

        self.hooks = [
            *(layer.register_forward_hook(mask_layer(i), with_kwargs=True) for i, layer in enumerate(layers)),
            *(linear.register_forward_pre_hook(mask_inner(i)) for i, linear in enumerate(inner)),
        ]


def _noise(logits: Tensor) -> Tensor:
    return torch.rand_like(logits).clamp(1e-6, 1 - 1e-6)


def _require_any_layer_can_go(transformer: Any, base: str) -> None:
    """Some architectures cannot do without their first layer; that is better known before the training than after it."""
    num_layers = transformer.config.num_hidden_layers
    if num_layers > 1:
        with torch.device("meta"):
            bare = type(transformer)(copy.deepcopy(transformer.config))
        keep_layers(bare, list(range(1, num_layers)), base)


def _require_something_left(sparsity: float, sizes: Sizes, num_layers: int, dims: int, base: str) -> None:
    most = 1 - (sizes.fixed + sizes.unit) / (num_layers * (sizes.fixed + sizes.unit * dims))
    if sparsity > most:
        raise ModelError(
            "pruned so far, the student would have no layer left",
            where=f"student.adaptation of {base}",
            seen=f"sparsity {sparsity:g}",
            allowed=f"at most {most:.4f}: one layer with one intermediate dimension",
        )
