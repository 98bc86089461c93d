import math

import pytest
import torch

from retkd.losses.lambda_mrr import lambda_mrr
from tests.losses.lists import GARBAGE, STUDENT, assert_ignored, example, gradient, ragged, shuffled

ALL = torch.ones((1, 3), dtype=torch.bool)
GRADED = [1.0, 1 / 3, 1 / 2]


def test_the_value_of_methods_1_18() -> None:
    """Ranks 1, 2, 3; pairs (0, 1), (0, 2), (2, 1) weigh 1/2, 2/3, 1/6: their softplus of -1, -2 and 1."""
    by_hand = (math.log1p(math.exp(-1)) / 2 + math.log1p(math.exp(-2)) * 2 / 3 + math.log1p(math.exp(1)) / 6) / 3
    found = lambda_mrr(example(STUDENT), example(GRADED), ALL).item()
    assert found == pytest.approx(by_hand, abs=1e-12)
    assert found == pytest.approx(0.1533754886, abs=1e-10)


def test_it_is_the_mean_over_the_pairs_of_the_batch() -> None:
    """A second list with one pair of weight 1/2, scores equal: softplus(0) / 2. Four pairs in all."""
    student = torch.tensor([STUDENT, [1.0, 1.0, 0.0]], dtype=torch.float64)
    teacher = torch.tensor([GRADED, [5.0, -5.0, 0.0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, True], [True, True, False]])
    expected = (3 * 0.1533754886 + math.log(2) / 2) / 4
    assert lambda_mrr(student, teacher, mask).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_gradcheck(seed: int) -> None:
    lists = ragged(seed)
    assert torch.autograd.gradcheck(
        lambda s: lambda_mrr(s, lists.teacher, lists.mask), lists.student.clone().requires_grad_(True)
    )


@pytest.mark.parametrize("fill", GARBAGE)
def test_what_is_masked_does_not_matter(fill: float) -> None:
    lists = ragged(seed=4)
    teacher = lists.teacher.masked_fill(~lists.mask, fill)
    clean = lambda_mrr(lists.student, lists.teacher, lists.mask)
    assert lambda_mrr(lists.student, teacher, lists.mask).item() == clean.item()
    assert_ignored(lambda s: lambda_mrr(s, teacher, lists.mask), lists.student, lists.mask, fill)


@pytest.mark.parametrize("seed", range(3))
def test_of_the_teacher_only_the_order_is_read(seed: int) -> None:
    lists = ragged(seed)
    other = shuffled(lists, seed)
    value = lambda_mrr(lists.student, lists.teacher, lists.mask).item()
    assert lambda_mrr(other.student + 7.0, torch.exp(other.teacher), other.mask).item() == pytest.approx(
        value, abs=1e-9
    )


def test_equal_targets_make_no_pair_and_no_gradient() -> None:
    assert lambda_mrr(example(STUDENT), example([2.0, 2.0, 2.0]), ALL).item() == 0.0
    found = gradient(lambda s: lambda_mrr(s, example([2.0, 2.0, 2.0]), ALL), example(STUDENT))
    assert (found == 0).all()


def test_the_teacher_gets_no_gradient() -> None:
    teacher = example(GRADED).requires_grad_(True)
    lambda_mrr(example(STUDENT).requires_grad_(True), teacher, ALL).backward()
    assert teacher.grad is None
