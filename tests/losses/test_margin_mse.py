import pytest
import torch

from retkd.losses.pairwise import margin_mse
from tests.losses.lists import GARBAGE, STUDENT, TEACHER, assert_ignored, example, gradient, ragged, shuffled

ALL, FIRST = torch.ones((1, 3), dtype=torch.bool), torch.tensor([[True, False, False]])


def test_the_value_of_methods_1_18() -> None:
    """Margins of (2, 1, 0) over the first: 1 and 2; of (3, 1, 2): 2 and 1. ((1 - 2)^2 + (2 - 1)^2) / 2 = 1."""
    assert margin_mse(example(STUDENT), example(TEACHER), FIRST, ALL).item() == pytest.approx(1.0, abs=1e-12)


def test_every_positive_meets_every_negative() -> None:
    """Positives 2 and 0, negative 1. Student margins 1 and -1, teacher margins 2 and 1: ((1 - 2)^2 + (-1 - 1)^2) / 2."""
    positive = torch.tensor([[True, False, True]])
    assert margin_mse(example(STUDENT), example(TEACHER), positive, ALL).item() == pytest.approx(2.5, abs=1e-12)


def test_it_is_the_mean_over_pairs_not_over_queries() -> None:
    """Two pairs with error 1 and one with error 3: (1 + 1 + 9) / 3."""
    student = torch.tensor([[2.0, 1.0, 0.0], [5.0, 2.0, 99.0]], dtype=torch.float64)
    teacher = torch.tensor([[3.0, 1.0, 2.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    positive = torch.tensor([[True, False, False], [True, False, False]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    assert margin_mse(student, teacher, positive, mask).item() == pytest.approx(11 / 3, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_gradcheck(seed: int) -> None:
    lists = ragged(seed)
    assert torch.autograd.gradcheck(
        lambda s: margin_mse(s, lists.teacher, lists.positive, lists.mask), lists.student.clone().requires_grad_(True)
    )


@pytest.mark.parametrize("fill", GARBAGE)
def test_what_is_masked_does_not_matter(fill: float) -> None:
    """In the student's scores, in the teacher's, and where a masked candidate is marked positive."""
    lists = ragged(seed=4)
    teacher, positive = lists.teacher.masked_fill(~lists.mask, fill), lists.positive | ~lists.mask
    clean = margin_mse(lists.student, lists.teacher, lists.positive, lists.mask)
    assert margin_mse(lists.student, teacher, positive, lists.mask).item() == clean.item()
    assert_ignored(lambda s: margin_mse(s, teacher, positive, lists.mask), lists.student, lists.mask, fill)


@pytest.mark.parametrize("seed", range(3))
def test_order_and_shifts_do_not_matter(seed: int) -> None:
    lists = ragged(seed)
    other = shuffled(lists, seed)
    shift = torch.tensor([[-7.0], [0.3], [20.0], [100.0]], dtype=torch.float64)
    moved = margin_mse(other.student + shift, other.teacher - 3 * shift, other.positive, other.mask).item()
    value = margin_mse(lists.student, lists.teacher, lists.positive, lists.mask).item()
    assert moved == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_zero_only_where_the_student_is_the_teacher_plus_a_constant(seed: int) -> None:
    lists = ragged(seed)
    shifted = lists.teacher + torch.tensor([[1.0], [2.0], [-3.0], [0.0]], dtype=torch.float64)
    assert margin_mse(shifted, lists.teacher, lists.positive, lists.mask).item() == pytest.approx(0.0, abs=1e-12)
    pairs = lists.positive.any(dim=1) & (lists.mask & ~lists.positive).any(dim=1)
    query = int(torch.nonzero(pairs)[0])
    shifted[query, torch.nonzero(lists.positive[query])[0]] += 0.1
    assert margin_mse(shifted, lists.teacher, lists.positive, lists.mask).item() > 1e-4


@pytest.mark.parametrize("mark", [False, True], ids=["no positive", "no negative"])
def test_a_list_without_a_pair_gives_zero_and_a_zero_gradient(mark: bool) -> None:
    positive = torch.full((1, 3), mark)
    assert margin_mse(example(STUDENT), example(TEACHER), positive, ALL).item() == 0.0
    found = gradient(lambda s: margin_mse(s, example(TEACHER), positive, ALL), example(STUDENT))
    assert (found == 0).all()


def test_the_teacher_gets_no_gradient() -> None:
    teacher = example(TEACHER).requires_grad_(True)
    margin_mse(example(STUDENT).requires_grad_(True), teacher, FIRST, ALL).backward()
    assert teacher.grad is None
