"""Masks over attention and feed-forward parts, heads, intermediate and hidden dimensions together: pure functions.

CoFi: Xia et al. 2022, section 3.1. A parameter stays where all masks that it stands under stay.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from retkd.students.hard_concrete import kept_probability, shift_to

State = tuple[int, int | None]
"""Pairs of parts that were found, and the layer whose attention part waits for its feed-forward part."""


class Cost(NamedTuple):
    """Parameters of an attention or feed-forward part; its units are heads or intermediate dimensions.

    ``unit_hidden``: of one unit for one hidden dimension; ``unit``: of one unit beside these; ``hidden``: of one hidden
    dimension, whatever the units.
    """

    unit_hidden: int
    unit: int
    hidden: int

    def of(self, units: int, hidden: int) -> int:
        """Parameters with that many units and hidden dimensions."""
        return units * (self.unit_hidden * hidden + self.unit) + self.hidden * hidden


class Costs(NamedTuple):
    """Those of every layer's two parts. ``head``: dimensions of one head."""

    attention: Cost
    feed_forward: Cost
    head: int

    def of(self, layers: int, heads: int, inner: int, hidden: int) -> int:
        """Parameters of that many layers of that shape."""
        return layers * (self.attention.of(heads, hidden) + self.feed_forward.of(inner, hidden))


class Joint(NamedTuple):
    """One number for each mask: the mask, its logit, or the probability that it is not 0."""

    attention: Float[Tensor, "layer"]
    feed_forward: Float[Tensor, "layer"]
    heads: Float[Tensor, "layer head"]
    inner: Float[Tensor, "layer inner"]
    hidden: Float[Tensor, "dim"]


class Cut(NamedTuple):
    """What stays. ``layers``: the base's layers that give a layer its attention and its feed-forward part.

    ``heads`` and ``inner`` are told for each layer of the base that gives the part; ``hidden`` holds for all.
    """

    layers: list[tuple[int, int]]
    heads: dict[int, list[int]]
    inner: dict[int, list[int]]
    hidden: list[int]


def joint_size(kept: Joint, costs: Costs) -> Float[Tensor, ""]:
    """Expected parameters of all layers, from the probabilities that masks are not 0, which are drawn independently.

    With zeros and ones it is a plain count.
    """
    hidden = kept.hidden.sum()

    def part(cost: Cost, layers: Tensor, units: Tensor) -> Tensor:
        each = units.sum(dim=1) * (cost.unit_hidden * hidden + cost.unit) + cost.hidden * hidden
        return (layers * each).sum()

    return part(costs.attention, kept.attention, kept.heads) + part(costs.feed_forward, kept.feed_forward, kept.inner)


def cut(logits: Joint, costs: Costs, target: float, width: bool, sublayers: bool) -> Cut:
    """What of a shape that a plain folder can hold stays; at least ``target`` of the parameters go.

    The shape is near what the masks expect, see :func:`shape`; within it stays what has the largest logits.
    """
    layers, heads, inner, hidden = shape(logits, costs, target, width)
    pairs = alternating(logits.attention, logits.feed_forward, layers) if sublayers else _whole(logits, layers)
    return Cut(
        pairs,
        {layer: _largest(logits.heads[layer], heads) for layer, _ in pairs},
        {layer: _largest(logits.inner[layer], inner) for _, layer in pairs},
        _largest(logits.hidden, hidden),
    )


def shape(logits: Joint, costs: Costs, target: float, width: bool) -> tuple[int, int, int, int]:
    """Layers, heads, intermediate and hidden dimensions that stay, the parameters being at most what ``target`` leaves.

    As many layers and heads as the masks expect, once their logits are brought to that size, see :func:`fitted`; the heads
    are the mean of what the masks over heads and over hidden dimensions expect. Then as many intermediate dimensions as
    fit. Heads go where more than their share of the intermediate dimensions would have to, and come back where none has to;
    layers go where not even one intermediate dimension fits.
    """
    num_layers, num_heads = logits.heads.shape
    dims, inner = len(logits.hidden), logits.inner.shape[1]
    expected = fitted(logits, costs, target, width)
    allowed = (1 - target) * costs.of(num_layers, num_heads, inner, dims) + 1e-9

    def hidden(heads: int) -> int:
        return heads * costs.head if width else dims

    def fitting(layers: int, heads: int) -> int:
        rest = allowed - costs.of(layers, heads, 0, hidden(heads))
        return min(inner, int(rest // (costs.of(layers, 0, 1, hidden(heads)) - costs.of(layers, 0, 0, hidden(heads)))))

    begun = max(1, round(float((expected.attention.sum() + expected.feed_forward.sum()) / 2)))
    wanted = float(expected.heads.sum(dim=1).mean() + expected.hidden.sum() / costs.head) / 2
    asked = min(num_heads, max(1, round(wanted))) if width else num_heads
    share = float(expected.inner.sum(dim=1).mean()) / asked if width else 0.0
    for layers in range(begun, 0, -1):
        for heads in range(asked, 0 if width else num_heads - 1, -1):
            if fitting(layers, heads) < max(1, min(inner, int(share * heads))):
                continue
            while width and heads < num_heads and fitting(layers, heads + 1) == inner:
                heads += 1
            return layers, heads, fitting(layers, heads), hidden(heads)
    raise ValueError(f"no layer is left at a sparsity of {target:g}")


def fitted(logits: Joint, costs: Costs, target: float, width: bool) -> Joint:
    """Probabilities of an expected size of just what ``target`` leaves: all logits are moved by one number.

    So masks that were pulled too far, or not far enough, still say what matters more. Without ``width`` heads and hidden
    dimensions are all there.
    """
    ones = Joint(*(torch.ones_like(each, dtype=torch.float64) for each in logits))
    allowed = (1 - target) * float(joint_size(ones, costs))

    def moved(shift: float) -> Joint:
        found = Joint(*(kept_probability(each.double() + shift) for each in logits))
        return found if width else found._replace(heads=ones.heads, hidden=ones.hidden)

    return moved(shift_to(lambda shift: float(joint_size(moved(shift), costs)), allowed))


def alternating(
    attention: Float[Tensor, "layer"], feed_forward: Float[Tensor, "layer"], count: int
) -> list[tuple[int, int]]:
    """The ``count`` attention and feed-forward parts, by turns, whose logits have the largest sum; ties to the lower.

    >>> alternating(torch.tensor([3.0, -4.0, 1.0]), torch.tensor([-4.0, 3.0, 1.0]), 2)
    [(0, 1), (2, 2)]
    """
    told = list(zip(attention.tolist(), feed_forward.tolist(), strict=True))
    best: dict[State, tuple[float, list[tuple[int, int]]]] = {(0, None): (0.0, [])}
    for layer, (first, second) in enumerate(told):
        found = dict(best)
        for (done, waiting), (total, pairs) in best.items():
            steps: list[tuple[State, float, list[tuple[int, int]]]] = (
                [
                    ((done, layer), total + first, pairs),
                    ((done + 1, None), total + first + second, [*pairs, (layer, layer)]),
                ]
                if waiting is None
                else [((done + 1, None), total + second, [*pairs, (waiting, layer)])]
            )
            for state, value, chosen in steps:
                if state not in found or value > found[state][0]:
                    found[state] = (value, chosen)
        best = found
    return best[count, None][1]


def _whole(logits: Joint, count: int) -> list[tuple[int, int]]:
    return [(layer, layer) for layer in _largest(logits.attention, count)]


def _largest(logits: Tensor, count: int) -> list[int]:
    return sorted(logits.argsort(descending=True, stable=True)[:count].tolist())
