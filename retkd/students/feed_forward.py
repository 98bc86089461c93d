"""The intermediate dimensions of a transformer's layers: where they are, what they cost, how they are taken out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import nn

from retkd.errors import ModelError
from retkd.layers import INTERMEDIATE, stack


class FeedForward(NamedTuple):
    """The linear modules into and out of a layer's intermediate dimensions."""

    into: tuple[nn.Linear, ...]
    out: nn.Linear

    @property
    def unit(self) -> int:
        """Parameters of one intermediate dimension."""
        return sum(each.in_features + (each.bias is not None) for each in self.into) + self.out.out_features

    def keep(self, dims: Sequence[int]) -> None:
        """Take the other dimensions out, in place."""
        import torch

        index = torch.tensor(dims, device=self.out.weight.device)
        for each in self.into:
            each.weight = nn.Parameter(each.weight.detach()[index].clone())
            each.out_features = len(dims)
            if each.bias is not None:
                each.bias = nn.Parameter(each.bias.detach()[index].clone())
        self.out.weight = nn.Parameter(self.out.weight.detach()[:, index].clone())
        self.out.in_features = len(dims)


def size_name(config: Any) -> str:
    """The configuration's name for the number of intermediate dimensions."""
    return next(name for name in INTERMEDIATE if isinstance(getattr(config, name, None), int))


def feed_forwards(transformer: Any, where: str) -> list[FeedForward]:
    """That of each layer. Raises :class:`ModelError` where they are not plain linear modules."""
    dims = next((getattr(transformer.config, name) for name in INTERMEDIATE if hasattr(transformer.config, name)), None)
    return [_found(layer, dims, where) for layer in stack(transformer)]


def _found(layer: nn.Module, dims: int | None, where: str) -> FeedForward:
    linear = [module for module in layer.modules() if isinstance(module, nn.Linear)]
    into = tuple(m for m in linear if m.out_features == dims and m.in_features != dims)
    out = [m for m in linear if m.in_features == dims and m.out_features != dims]
    if not into or len(out) != 1:
        raise ModelError(
            "the intermediate dimensions of this architecture were not found, so that they cannot be pruned",
            where=where,
            seen=", ".join(f"{m.in_features} -> {m.out_features}" for m in linear),
            allowed=f"linear modules into {dims} dimensions and one out of them",
            next_step="choose another base, or leave student.adaptation out",
        )
    return FeedForward(into, out[0])
