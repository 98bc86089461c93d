"""Hard-concrete masks, the size that they leave, and the pull towards a size: pure functions.

Louizos et al. 2018; CoFi: Xia et al. 2022; limits and temperature as in TinyCLIP's ``l0module.py``.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

LOW, HIGH, TEMPERATURE = -0.1, 1.1, 2 / 3
MOST = math.log(1e2)
"""The logits stay between ``-MOST`` and ``MOST``, so that a mask can always come back."""


class Sizes(NamedTuple):
    """Parameters of one layer: what goes with the layer alone, and what goes with each intermediate dimension."""

    fixed: int
    unit: int


def sampled(logits: Float[Tensor, "*mask"], noise: Float[Tensor, "*mask"]) -> Float[Tensor, "*mask"]:
    """Masks from 0 to 1, with mass on both ends. ``noise`` is uniform in (0, 1)."""
    soft = torch.sigmoid((noise.log() - (-noise).log1p() + logits) / TEMPERATURE)
    return (soft * (HIGH - LOW) + LOW).clamp(0.0, 1.0)


def kept_probability(logits: Float[Tensor, "*mask"]) -> Float[Tensor, "*mask"]:
    """How likely each mask is not 0."""
    return torch.sigmoid(logits - TEMPERATURE * math.log(-LOW / HIGH))


def expected_size(layers: Float[Tensor, "layer"], inner: Float[Tensor, "layer dim"], sizes: Sizes) -> Float[Tensor, ""]:
    """Expected parameters of all layers, from the probabilities that a layer and an intermediate dimension are kept.

    A dimension counts only with its layer: both masks are drawn independently. With zeros and ones it is a plain count.
    """
    return (layers * (sizes.fixed + sizes.unit * inner.sum(dim=1))).sum()


def target_at(progress: float, target: float, warmup: float) -> float:
    """The sparsity asked for after this share of the steps: from 0 straight up to ``target`` at ``warmup``, then that.

    >>> [target_at(p, 0.6, 0.5) for p in (0.0, 0.25, 0.5, 1.0)]
    [0.0, 0.3, 0.6, 0.6]
    """
    return target * min(progress / warmup, 1.0) if warmup else target


def pull(
    sparsity: Float[Tensor, ""],
    target: float,
    linear: Float[Tensor, ""],
    quadratic: Float[Tensor, ""],
    two_sided: bool = False,
) -> Float[Tensor, ""]:
    """The Lagrangian of what is missing to ``target``; 0 once it is reached (TinyCLIP).

    With two sides, as CoFi has it, what went beyond the target is pulled back.
    """
    missing = target - sparsity if two_sided else (target - sparsity).clamp(min=0.0)
    return linear * missing + quadratic * missing**2


def aligned(distances: Float[Tensor, "teacher layer"], alive: list[int]) -> list[int]:
    """For each teacher layer the nearest living student layer below that of the teacher layer above; ties to the lower.

    From the top down, as CoFi does. Where none is left, the one of the teacher layer above serves again. Never falling.

    >>> aligned(torch.tensor([[0.1, 0.2, 0.9], [0.1, 0.3, 0.5]]), [0, 1, 2]), aligned(torch.zeros(2, 3), [1])
    ([0, 0], [1, 1])
    """
    found: list[int] = []
    for row in reversed(distances.tolist()):
        below = [layer for layer in alive if not found or layer < found[-1]]
        found.append(min(below, key=lambda layer: (row[layer], layer)) if below else found[-1])
    return found[::-1]


def chosen(
    layers: Float[Tensor, "layer"], inner: Float[Tensor, "layer dim"], sizes: Sizes, target: float
) -> dict[int, list[int]]:
    """Layer -> the intermediate dimensions that stay, equally many in each; at least ``target`` of the parameters go.

    As many layers stay as the masks expect, once they are brought to that size, see :func:`fitted_layers`: those of the
    largest logits; fewer where the rest would not fit otherwise.
    """
    num_layers, dims = inner.shape
    allowed = (1 - target) * num_layers * (sizes.fixed + sizes.unit * dims)
    count = max(1, round(fitted_layers(layers, inner, sizes, allowed)))
    while count > 1 and count * (sizes.fixed + sizes.unit) > allowed:
        count -= 1
    width = min(dims, int((allowed / count - sizes.fixed) / sizes.unit + 1e-9))
    kept = sorted(layers.argsort(descending=True, stable=True)[:count].tolist())
    return {layer: sorted(inner[layer].argsort(descending=True, stable=True)[:width].tolist()) for layer in kept}


def fitted_layers(
    layers: Float[Tensor, "layer"], inner: Float[Tensor, "layer dim"], sizes: Sizes, allowed: float
) -> float:
    """How many layers are expected to stay where all logits are moved by the one number that leaves ``allowed`` parameters.

    So masks that were pulled too far, or not far enough, still say which share of the size is the layers'.
    """

    def moved(shift: float) -> tuple[Tensor, Tensor]:
        return kept_probability(layers.double() + shift), kept_probability(inner.double() + shift)

    shift = shift_to(lambda shift: float(expected_size(*moved(shift), sizes)), allowed)
    return float(moved(shift)[0].sum())


def shift_to(size: Callable[[float], float], allowed: float) -> float:
    """The greatest number, of those from -50 to 50, at which a ``size`` that rises with it is at most ``allowed``.

    >>> round(shift_to(lambda shift: shift, 7.0), 6)
    7.0
    """
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if size(middle) > allowed else (middle, high)
    return low
