import math

import pytest
import torch

from retkd.losses.contrastive import localised_contrastive
from tests.losses.lists import GARBAGE, STUDENT, assert_ignored, example, gradient, ragged, shuffled

ALL = torch.ones((1, 3), dtype=torch.bool)


def test_the_value_of_methods_0_2() -> None:
    """The cross-entropy of the first of (2, 1, 0): 0.4076059645."""
    first = torch.tensor([[True, False, False]])
    assert localised_contrastive(example(STUDENT), first, ALL, temperature=1.0).item() == pytest.approx(
        0.4076059645, abs=1e-10
    )


def test_positives_of_a_list_do_not_compete() -> None:
    """Positives 2 and 0 against the negative 1: the mean of log(1 + e^-1) and log(1 + e^1)."""
    positive = torch.tensor([[True, False, True]])
    expected = (math.log1p(math.exp(-1.0)) + math.log1p(math.exp(1.0))) / 2
    assert localised_contrastive(example(STUDENT), positive, ALL, temperature=1.0).item() == pytest.approx(
        expected, abs=1e-12
    )


def test_it_is_the_mean_over_positives() -> None:
    """One list with one positive (log 2) and one with two (log 3 each): (log 2 + 2 log 3) / 3."""
    scores = torch.zeros((2, 4), dtype=torch.float64)
    positive = torch.tensor([[True, False, False, False], [True, True, False, False]])
    mask = torch.tensor([[True, True, False, False], [True, True, True, True]])
    expected = (math.log(2) + 2 * math.log(3)) / 3
    assert localised_contrastive(scores, positive, mask, temperature=1.0).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_gradcheck(seed: int) -> None:
    lists = ragged(seed)
    assert torch.autograd.gradcheck(
        lambda s: localised_contrastive(s, lists.positive, lists.mask, temperature=1.0),
        lists.student.clone().requires_grad_(True),
    )


@pytest.mark.parametrize("fill", GARBAGE)
def test_what_is_masked_does_not_matter(fill: float) -> None:
    """Also where a masked candidate is marked positive."""
    lists = ragged(seed=3)
    positive = lists.positive | ~lists.mask
    assert_ignored(
        lambda s: localised_contrastive(s, positive, lists.mask, temperature=1.0), lists.student, lists.mask, fill
    )


@pytest.mark.parametrize("seed", range(3))
def test_order_and_shift_do_not_matter(seed: int) -> None:
    lists = ragged(seed)
    other = shuffled(lists, seed)
    value = localised_contrastive(lists.student, lists.positive, lists.mask, temperature=1.0).item()
    moved = localised_contrastive(other.student + 30.0, other.positive, other.mask, temperature=1.0).item()
    assert moved == pytest.approx(value, abs=1e-10)


@pytest.mark.parametrize("mark", [False, True], ids=["no positive", "no negative"])
def test_a_list_without_a_pair_gives_zero_and_a_zero_gradient(mark: bool) -> None:
    positive = torch.full((1, 3), mark)
    assert localised_contrastive(example(STUDENT), positive, ALL, temperature=1.0).item() == 0.0
    assert (gradient(lambda s: localised_contrastive(s, positive, ALL, temperature=1.0), example(STUDENT)) == 0).all()
