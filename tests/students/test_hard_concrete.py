"""Masks and sizes: the mass at 0, the count of parameters, what is chosen, the alignment of layers."""

import math
from itertools import product
from typing import Any

import pytest
import torch

from retkd.students.feed_forward import feed_forwards
from retkd.students.hard_concrete import (
    Sizes,
    aligned,
    chosen,
    expected_size,
    kept_probability,
    pull,
    sampled,
    target_at,
)
from retkd.students.initialisation import keep_layers
from tests.architectures import made


def test_a_value_worked_out_by_hand() -> None:
    """At noise 1/2 the mask is ``sigmoid(1.5 * logit)`` stretched from -0.1 to 1.1; it is kept above -log(11) * 2/3."""
    logits, half = torch.tensor([0.0, 2 / 3]), torch.tensor([0.5, 0.5])
    assert sampled(logits, half).tolist() == pytest.approx([0.5, 1.2 / (1 + math.exp(-1)) - 0.1])
    assert float(kept_probability(torch.tensor(0.0))) == pytest.approx(1 / (1 + 11 ** (-2 / 3)))


@pytest.mark.parametrize("logit", [-4.0, -1.0, 0.0, 1.5])
def test_the_share_of_masks_above_zero_is_the_probability(logit: float) -> None:
    noise = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    masks = sampled(torch.full_like(noise, logit), noise)
    assert float((masks > 0).double().mean()) == pytest.approx(
        float(kept_probability(torch.tensor(logit, dtype=torch.float64))), abs=1e-4
    )
    assert float(masks.min()) >= 0.0
    assert float(masks.max()) <= 1.0


def test_gradients() -> None:
    torch.manual_seed(0)
    layers, inner = (torch.randn(2, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64))
    noise = torch.rand(2, 3, dtype=torch.float64) * 0.2 + 0.4

    def value(layers: Any, inner: Any) -> Any:
        size = expected_size(kept_probability(layers), kept_probability(inner), Sizes(7, 5))
        return size + sampled(inner, noise).sum()

    assert torch.autograd.gradcheck(value, (layers.requires_grad_(), inner.requires_grad_()))


def sizes_of(model: Any) -> Sizes:
    first = feed_forwards(model, "base")[0]
    layer = sum(p.numel() for n, p in model.named_parameters() if "layer.0." in n or "layers.0." in n)
    return Sizes(layer - first.unit * first.out.in_features, first.unit)


def in_layers(model: Any) -> int:
    return sum(p.numel() for name, p in model.named_parameters() if "layer." in name or "layers." in name)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "mpnet", "qwen3"])
@pytest.mark.parametrize("kept", [[0, 1, 2, 3], [0, 2], [3]])
@pytest.mark.parametrize("width", [1, 5, 32])
def test_with_binary_masks_the_size_is_that_of_the_pruned_model(kind: str, kept: list[int], width: int) -> None:
    """Counted parameter by parameter after they were taken out; the counts differ from layer to layer."""
    model = made(kind)
    sizes = sizes_of(model)
    layers, inner = torch.zeros(4), torch.zeros(4, 32)
    for place, each in enumerate(feed_forwards(model, "base")):
        dims = list(range(place, min(place + width, 32)))
        inner[place, dims] = 1.0
        if place in kept:
            layers[place] = 1.0
            each.keep(dims)
    keep_layers(model, kept, "base")
    assert int(expected_size(layers, inner, sizes)) == in_layers(model)


def test_the_expected_size_is_the_mean_over_all_masks() -> None:
    """Every combination of two layers and two dimensions each, weighted by its probability."""
    layers, inner, sizes = torch.tensor([0.3, 0.9]), torch.tensor([[0.5, 0.2], [0.8, 0.6]]), Sizes(7, 3)
    total = 0.0
    for z in product([0.0, 1.0], repeat=6):
        masks = torch.tensor(z)
        chances = torch.cat([layers, inner.flatten()])
        chance = float(torch.where(masks > 0, chances, 1 - chances).prod())
        total += chance * float(expected_size(masks[:2], masks[2:].view(2, 2), sizes))
    assert float(expected_size(layers, inner, sizes)) == pytest.approx(total)


def test_the_target_rises_in_a_straight_line_and_stops() -> None:
    values = [target_at(step / 20, 0.8, 0.5) for step in range(21)]
    assert values[:11] == pytest.approx([0.08 * step for step in range(11)])
    assert values[10:] == [0.8] * 11
    assert target_at(0.0, 0.8, 0.0) == 0.8


def test_the_pull_is_nothing_once_the_target_is_reached() -> None:
    linear, quadratic = torch.tensor(2.0), torch.tensor(10.0)
    assert float(pull(torch.tensor(0.5), 0.6, linear, quadratic)) == pytest.approx(2 * 0.1 + 10 * 0.01)
    assert float(pull(torch.tensor(0.7), 0.6, linear, quadratic)) == 0.0


def test_with_two_sides_the_pull_brings_back_what_went_beyond() -> None:
    """As CoFi's: its multipliers are ours with the sign of the difference."""
    linear, quadratic = torch.tensor(2.0), torch.tensor(10.0)
    beyond = torch.tensor(0.7, requires_grad=True)
    value = pull(beyond, 0.6, linear, quadratic, two_sided=True)
    value.backward()
    assert float(value.detach()) == pytest.approx(2 * -0.1 + 10 * 0.01)
    assert float(beyond.grad) == pytest.approx(-2 + 2 * 10 * 0.1, abs=1e-5)  # type: ignore[arg-type]
    short = torch.tensor(0.5)
    assert pull(short, 0.6, linear, quadratic, two_sided=True) == pull(short, 0.6, linear, quadratic)


def test_the_alignment_is_nearest_and_monotone() -> None:
    distances = torch.tensor([[0.9, 0.1, 0.2, 0.3], [0.4, 0.5, 0.1, 0.2], [0.3, 0.9, 0.2, 0.5]])
    assert aligned(distances, [0, 1, 2, 3]) == [0, 0, 2]
    assert aligned(distances, [0, 1, 3]) == [0, 0, 0]
    assert aligned(torch.eye(3).neg(), [0, 1, 2]) == [0, 1, 2]
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        alive = [layer for layer in range(6) if float(torch.rand(1, generator=generator)) < 0.7] or [2]
        found = aligned(torch.rand(4, 6, generator=generator), alive)
        assert found == sorted(found)
        assert set(found) <= set(alive)


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.8, 0.96])
def test_what_is_chosen_fits_and_is_all_that_fits(sparsity: float) -> None:
    torch.manual_seed(1)
    layers, inner, sizes = torch.randn(6), torch.randn(6, 40), Sizes(300, 33)
    kept = chosen(layers, inner, sizes, sparsity)
    (width,) = {len(dims) for dims in kept.values()}
    whole = 6 * (300 + 40 * 33)

    def size(width: int) -> int:
        return len(kept) * (300 + width * 33)

    assert size(width) <= (1 - sparsity) * whole
    assert width == 40 or size(width + 1) > (1 - sparsity) * whole
    best = layers.argsort(descending=True)[: len(kept)]
    assert list(kept) == sorted(best.tolist())
    for layer, dims in kept.items():
        assert float(inner[layer][dims].min()) >= max(
            [float(v) for i, v in enumerate(inner[layer]) if i not in dims], default=-99.0
        )


def test_layers_go_where_their_masks_say_so() -> None:
    layers = torch.tensor([4.0, -4.0, 4.0, -4.0])
    kept = chosen(layers, torch.zeros(4, 8), Sizes(10, 5), 0.5)
    assert kept == {0: list(range(8)), 2: list(range(8))}


@pytest.mark.parametrize("logit", [-4.0, -1.0, 2.0, 4.5])
def test_masks_that_were_pulled_too_far_or_not_far_enough_leave_the_size_that_was_asked_for(logit: float) -> None:
    """BERT-like sizes, masks that are all alike: three of six layers and 70 % of the rest, wherever the pull has ended."""
    layers, inner, sizes = torch.full((6,), logit), torch.full((6, 1536), logit), Sizes(600_000, 770)
    kept = chosen(layers, inner, sizes, 0.6)
    assert {layer: len(dims) for layer, dims in kept.items()} == {0: 1072, 1: 1072, 2: 1072}
    left = sum(600_000 + 770 * len(dims) for dims in kept.values())
    assert left == pytest.approx(0.4 * 6 * (600_000 + 770 * 1536), rel=1e-3)
