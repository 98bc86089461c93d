"""The masks of :class:`retkd.students.pruning.Prune` on whole layers and intermediate dimensions."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from retkd.encoders.encoder import Encoder
from retkd.layers import stack
from retkd.students.feed_forward import feed_forwards, size_name
from retkd.students.hard_concrete import Sizes, chosen, expected_size, kept_probability
from retkd.students.initialisation import keep_layers
from retkd.students.masking import Masking, require_any_layer_can_go, require_something_left

if TYPE_CHECKING:
    from retkd.students.pruning import Prune


class Masks(Masking):
    """Hooks on each layer: its output is ``mask * output + (1 - mask) * input``, its intermediate dimensions are scaled."""

    def __init__(self, part: "Prune", encoder: Encoder, base: str) -> None:
        transformer = encoder.model[0].auto_model
        inner = feed_forwards(transformer, base)
        layers: list[nn.Module] = list(stack(transformer))
        require_any_layer_can_go(transformer, base)
        dims = inner[0].out.in_features
        fixed = sum(p.numel() for p in layers[0].parameters()) - dims * inner[0].unit
        sizes = Sizes(fixed, inner[0].unit)
        whole = len(layers) * (sizes.fixed + sizes.unit * dims)
        smallest = "one layer with one intermediate dimension"
        require_something_left(part.sparsity, sizes.fixed + sizes.unit, whole, smallest, base)
        super().__init__(part, encoder, base, {"layers": (len(layers),), "inner": (len(layers), dims)})
        self.sizes = sizes
        self._hook(layers, [each.out for each in inner])

    @property
    def expected_sparsity(self) -> Tensor:
        """The expected share of the layers' parameters that goes."""
        layers, inner = (kept_probability(each) for each in self.logits.each().values())
        whole = expected_size(torch.ones_like(layers), torch.ones_like(inner), self.sizes)
        return 1 - expected_size(layers, inner, self.sizes) / whole

    @property
    def settled(self) -> dict[int, list[int]]:
        """Layer -> intermediate dimensions, as they would be left now."""
        layers, inner = (each.detach() for each in self.logits.each().values())
        return chosen(layers, inner, self.sizes, self.part.sparsity)

    def zeros_and_ones(self) -> dict[str, Tensor]:
        """The masks as they would be left now."""
        masks = {name: torch.zeros_like(each) for name, each in self.logits.each().items()}
        for layer, dims in self.settled.items():
            masks["layers"][layer], masks["inner"][layer, dims] = 1.0, 1.0
        return masks

    def finish(self, encoder: Encoder, out: Path) -> None:
        """Take out what the masks took out."""
        self.unhook()
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
                mask = self.now(module, "layers", state)[place]
                before = args[0] if args else kwargs["hidden_states"]
                masked = mask * state + (1 - mask) * before
                if self.teacher is not None and module.training:
                    self.teacher.see(place, masked)
                return masked if rest is None else (masked, *rest)

            return hook

        def mask_inner(place: int) -> Any:
            def hook(module: nn.Module, args: Any) -> Any:
                return (args[0] * self.now(module, "inner", args[0])[place], *args[1:])

            return hook

        self.hooks = [
            *(layer.register_forward_hook(mask_layer(i), with_kwargs=True) for i, layer in enumerate(layers)),
            *(linear.register_forward_pre_hook(mask_inner(i)) for i, linear in enumerate(inner)),
        ]
