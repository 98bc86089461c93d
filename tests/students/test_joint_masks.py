"""Masks of all extents together: the count of parameters, the shape that is chosen, what is chosen within it."""

from itertools import combinations, product
from typing import Any

import pytest
import torch

from retkd.layers import stack
from retkd.students.blocks import blocks, costs, taken_out
from retkd.students.hard_concrete import kept_probability
from retkd.students.joint_masks import Cost, Costs, Cut, Joint, alternating, cut, fitted, joint_size, shape
from tests.architectures import made

KINDS = {"bert": {}, "distilbert": {}, "roberta": {}, "electra": {"embedding_size": 16}}


def binary(seed: int, layers: int = 4, heads: int = 2, inner: int = 32, dim: int = 16) -> Joint:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(layers,), (layers,), (layers, heads), (layers, inner), (dim,)]
    return Joint(*((torch.rand(each, generator=generator) < 0.6).float() for each in shapes))


def counted(model: Any, kept: Joint) -> int:
    """Each number of each parameter is there or not: zeros and ones of the parameters' own shapes, added up."""
    total, hidden = 0.0, kept.hidden
    for place, block in enumerate(blocks(model, "base")):
        head = kept.heads[place].repeat_interleave(block.out.in_features // 2)
        first, second, inner = kept.attention[place], kept.feed_forward[place], kept.inner[place]
        told = [(each, head, hidden, first) for each in block.into]
        told += [(block.out, hidden, head, first)]
        told += [(each, inner, hidden, second) for each in block.feed_forward.into]
        told += [(block.feed_forward.out, hidden, inner, second)]
        for module, rows, columns, layer in told:
            total += float((torch.ones_like(module.weight) * torch.outer(rows, columns) * layer).sum())
            total += float((torch.ones_like(module.bias) * rows * layer).sum())
        for norm, layer in ((block.attention_norm, first), (block.norm, second)):
            total += 2 * float((torch.ones_like(norm.weight) * hidden * layer).sum())
    return round(total)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_with_binary_masks_the_size_is_the_count_number_by_number(kind: str, seed: int) -> None:
    """Layers may have unequal heads and intermediate dimensions, and one part without the other."""
    model, kept = made(kind, **KINDS[kind]), binary(seed)
    assert int(joint_size(kept, costs(model, "base"))) == counted(model, kept)


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_of_what_is_left_is_that_of_the_model_that_comes_out(kind: str) -> None:
    model = made(kind, **KINDS[kind])
    told = costs(model, "base")
    kept = Cut([(0, 1), (3, 3)], {0: [1], 3: [0]}, {1: [0, 5, 31], 3: [1, 2, 3]}, [0, 2, 3, 5, 8, 9, 14, 15])
    small = taken_out(model, kept, "base")
    config = small.config
    assert (config.hidden_size, config.num_attention_heads, config.num_hidden_layers) == (8, 1, 2)
    assert sum(p.numel() for p in stack(small).parameters()) == told.of(2, 1, 3, 8)


def test_the_expected_size_is_the_mean_over_all_masks() -> None:
    """Every combination for one layer, one head, two intermediate and two hidden dimensions, by its probability."""
    chances = Joint(*(torch.tensor(v) for v in ([0.3], [0.9], [[0.7]], [[0.5, 0.2]], [0.8, 0.6])))
    told = Costs(Cost(12, 9, 3), Cost(2, 1, 3), 3)
    flat = torch.cat([each.flatten() for each in chances])
    total = 0.0
    for z in product([0.0, 1.0], repeat=7):
        masks = torch.tensor(z)
        chance = float(torch.where(masks > 0, flat, 1 - flat).prod())
        joint = Joint(masks[:1], masks[1:2], masks[2:3][None], masks[3:5][None], masks[5:])
        total += chance * float(joint_size(joint, told))
    assert float(joint_size(chances, told)) == pytest.approx(total)


def test_gradients() -> None:
    torch.manual_seed(0)
    shapes = [(2,), (2,), (2, 2), (2, 3), (4,)]
    logits = [torch.randn(each, dtype=torch.float64, requires_grad=True) for each in shapes]

    def value(*each: Any) -> Any:
        return joint_size(Joint(*(kept_probability(e) for e in each)), Costs(Cost(8, 6, 3), Cost(2, 1, 3), 2))

    assert torch.autograd.gradcheck(value, logits)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_parts_by_turns_are_the_best_of_all_that_alternate(count: int) -> None:
    """Against every subset of the eight parts in which attention and feed-forward follow each other."""
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        attention, feed_forward = torch.randn(4, generator=generator), torch.randn(4, generator=generator)
        values = torch.stack([attention, feed_forward], dim=1).flatten().tolist()
        fitting = [
            chosen
            for chosen in combinations(range(8), 2 * count)
            if all(part % 2 == place % 2 for place, part in enumerate(chosen))
        ]
        best = max(sum(values[part] for part in chosen) for chosen in fitting)
        found = alternating(attention, feed_forward, count)
        parts = [part for first, second in found for part in (2 * first, 2 * second + 1)]
        assert tuple(parts) in fitting
        assert sum(values[part] for part in parts) == pytest.approx(best, abs=1e-5)


TOLD = Costs(Cost(4 * 8, 3 * 8, 3), Cost(2, 1, 3), 8)


def scattered(seed: int) -> Joint:
    """Logits of six layers of 4 heads of 8, 64 intermediate and 32 hidden dimensions."""
    generator = torch.Generator().manual_seed(seed)
    return Joint(*(2 * torch.randn(each, generator=generator) for each in [(6,), (6,), (6, 4), (6, 64), (32,)]))


@pytest.mark.parametrize("width", [False, True])
@pytest.mark.parametrize("target", [0.1, 0.5, 0.8, 0.9])
def test_the_shape_fits_and_no_intermediate_dimension_more_would(width: bool, target: float) -> None:
    for seed in range(4):
        layers, heads, inner, hidden = shape(scattered(seed), TOLD, target, width)
        allowed = (1 - target) * TOLD.of(6, 4, 64, 32)
        assert hidden == (8 * heads if width else 32)
        assert min(layers, heads, inner) >= 1
        assert TOLD.of(layers, heads, inner, hidden) <= allowed
        assert inner == 64 or TOLD.of(layers, heads, inner + 1, hidden) > allowed
        assert heads <= 4
        assert width or heads == 4


def test_the_shape_is_what_the_masks_expect() -> None:
    """Half of the heads, hidden and intermediate dimensions, two of three layers: that fits, so that it is kept."""
    low, high = torch.full((2,), -9.0), torch.full((2,), 9.0)
    heads = torch.cat([low, high]).expand(6, 4)
    layers = torch.tensor([9.0, 9.0, -9.0, 9.0, -9.0, 9.0])
    inner, hidden = torch.cat([low, high]).repeat(16).expand(6, 64), torch.cat([low, high]).repeat(8)
    target = 1 - TOLD.of(4, 2, 32, 16) / TOLD.of(6, 4, 64, 32)
    logits = Joint(layers, layers, heads, inner, hidden)
    assert shape(logits, TOLD, target, width=True) == (4, 2, 32, 16)
    kept = cut(logits, TOLD, target, width=True, sublayers=False)
    assert kept.layers == [(0, 0), (1, 1), (3, 3), (5, 5)]
    assert kept.heads == {layer: [2, 3] for layer in (0, 1, 3, 5)}
    assert kept.hidden == [place for place in range(32) if place % 4 > 1]
    assert kept.inner == {layer: [place for place in range(64) if place % 4 > 1] for layer in (0, 1, 3, 5)}


@pytest.mark.parametrize("width", [False, True])
@pytest.mark.parametrize("shift", [-6.0, 0.0, 6.0])
def test_masks_that_were_pulled_too_far_still_say_what_matters_more(width: bool, shift: float) -> None:
    """The same is left wherever all logits together stand; the expected size is what the sparsity leaves."""
    logits = scattered(0)
    moved = Joint(*(each + shift for each in logits))
    allowed = 0.4 * TOLD.of(6, 4, 64, 32)
    assert float(joint_size(fitted(moved, TOLD, 0.6, width), TOLD)) == pytest.approx(allowed, rel=1e-6)
    assert cut(moved, TOLD, 0.6, width, sublayers=True) == cut(logits, TOLD, 0.6, width, sublayers=True)


def test_nothing_goes_where_nothing_has_to() -> None:
    assert shape(scattered(0), TOLD, 0.0, width=True) == (6, 4, 64, 32)


def test_each_layer_keeps_its_own_heads() -> None:
    heads = torch.tensor([[9.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 9.0]])
    layers = torch.full((2,), 40.0)
    logits = Joint(layers, layers, heads, torch.zeros(2, 64), torch.arange(32.0) / 8)
    kept = cut(logits, TOLD, 0.94, width=True, sublayers=True)
    assert kept.heads == {0: [0], 1: [3]}
    assert kept.hidden == list(range(24, 32))
