import math

import pytest
import torch

from retkd.losses.contrastive import infonce
from tests.losses.lists import GARBAGE, STUDENT, assert_ignored, example, gradient

FIRST = torch.tensor([[True, False, False]])


def made(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores of 3 queries and 7 documents; each query's target is its own document, and one more is relevant."""
    scores = torch.randn((3, 7), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    target = torch.zeros((3, 7), dtype=torch.bool)
    target[torch.arange(3), torch.arange(3)] = True
    positive = target.clone()
    positive[torch.arange(3), torch.arange(3) + 3] = True
    return scores, target, positive


def test_the_value_of_methods_0_2() -> None:
    """The cross-entropy of the first of (2, 1, 0): 0.4076059645; at temperature 0.5, log(1 + e^-2 + e^-4)."""
    assert infonce(example(STUDENT), FIRST, FIRST, temperature=1.0).item() == pytest.approx(0.4076059645, abs=1e-10)
    expected = math.log(1 + math.exp(-2) + math.exp(-4))
    assert infonce(example(STUDENT), FIRST, FIRST, temperature=0.5).item() == pytest.approx(expected, abs=1e-12)


def test_another_positive_is_no_negative() -> None:
    """The last document is relevant too: only the middle one competes, log(1 + e^-1)."""
    positive = torch.tensor([[True, False, True]])
    told = infonce(example(STUDENT), FIRST, positive, temperature=1.0)
    assert told.item() == pytest.approx(math.log1p(math.exp(-1)), abs=1e-12)


def test_it_is_the_mean_over_targets() -> None:
    """A query with two targets counts twice: log 2 for each of its targets, log 3 for the other's."""
    scores = torch.zeros((2, 3), dtype=torch.float64)
    target = torch.tensor([[True, True, False], [False, False, True]])
    expected = (2 * math.log(2) + math.log(3)) / 3
    assert infonce(scores, target, target, temperature=0.1).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_gradcheck(seed: int) -> None:
    scores, target, positive = made(seed)
    assert torch.autograd.gradcheck(
        lambda s: infonce(s, target, positive, temperature=0.3), scores.clone().requires_grad_(True)
    )


@pytest.mark.parametrize("fill", GARBAGE)
def test_the_score_of_another_positive_does_not_matter(fill: float) -> None:
    scores, target, positive = made(seed=1)
    kept = ~positive | target
    assert_ignored(lambda s: infonce(s, target, positive, temperature=0.3), scores, kept, fill)


@pytest.mark.parametrize("seed", range(3))
def test_order_and_shift_do_not_matter(seed: int) -> None:
    scores, target, positive = made(seed)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
    moved = infonce(scores[:, order] + 4.0, target[:, order], positive[:, order], temperature=0.2)
    assert moved.item() == pytest.approx(infonce(scores, target, positive, temperature=0.2).item(), abs=1e-10)


def test_without_a_target_it_is_zero_and_can_be_differentiated() -> None:
    nothing = torch.zeros((1, 3), dtype=torch.bool)
    found = gradient(lambda s: infonce(s, nothing, nothing, temperature=0.1), example(STUDENT))
    assert (found == 0).all()


def test_without_a_negative_it_is_zero_and_so_is_the_gradient() -> None:
    every = torch.ones((1, 3), dtype=torch.bool)
    assert infonce(example(STUDENT), FIRST, every, temperature=0.1).item() == 0.0
    assert (gradient(lambda s: infonce(s, FIRST, every, temperature=0.1), example(STUDENT)) == 0).all()
