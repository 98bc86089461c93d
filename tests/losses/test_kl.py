import math

import pytest
import torch

from retkd.losses.listwise import kl, masked_log_softmax
from tests.losses.lists import GARBAGE, STUDENT, TEACHER, assert_ignored, example, gradient, ragged, shuffled

ALL = torch.ones((1, 3), dtype=torch.bool)


def at_one(student, teacher, mask=ALL):  # type: ignore[no-untyped-def]
    return kl(student, teacher, mask, student_temperature=1.0, teacher_temperature=1.0)


def test_the_value_of_methods_0_2() -> None:
    """0.1546978979, and the soft cross-entropy 0.9870934797 less the teacher's entropy 0.8323955818."""
    value = at_one(example(STUDENT), example(TEACHER)).item()
    assert value == pytest.approx(0.1546978979, abs=1e-10)
    assert value == pytest.approx(0.9870934797 - 0.8323955818, abs=1e-9)


def test_each_temperature_divides_its_own_scores() -> None:
    told = kl(
        example(STUDENT), example(TEACHER), ALL, student_temperature=0.5, teacher_temperature=2.0
    )  # KL(softmax(1.5, 0.5, 1) || softmax(4, 2, 0)), term by term
    p = [math.exp(t) / sum(math.exp(u) for u in (1.5, 0.5, 1.0)) for t in (1.5, 0.5, 1.0)]
    q = [math.exp(s) / sum(math.exp(u) for u in (4.0, 2.0, 0.0)) for s in (4.0, 2.0, 0.0)]
    assert told.item() == pytest.approx(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)), abs=1e-12)


def test_it_is_the_mean_over_queries_whatever_their_length() -> None:
    short = torch.tensor([[2.0, 1.0, 77.0]], dtype=torch.float64)
    student, teacher = torch.cat([example(STUDENT), short]), torch.cat([example(TEACHER), -short])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    alone = at_one(student[1:, :2], teacher[1:, :2], mask[1:, :2])
    both = at_one(student, teacher, mask)
    assert both.item() == pytest.approx((0.1546978979 + alone.item()) / 2, abs=1e-10)


def test_the_gradient_is_the_difference_of_the_distributions() -> None:
    found = gradient(
        lambda s: kl(s, example(TEACHER), ALL, student_temperature=0.5, teacher_temperature=2.0), example(STUDENT)
    )
    expected = (torch.softmax(example(STUDENT) / 0.5, 1) - torch.softmax(example(TEACHER) / 2.0, 1)) / 0.5
    assert torch.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_gradcheck(seed: int) -> None:
    lists = ragged(seed)
    assert torch.autograd.gradcheck(
        lambda s: kl(s, lists.teacher, lists.mask, student_temperature=0.7, teacher_temperature=1.3),
        lists.student.clone().requires_grad_(True),
    )


@pytest.mark.parametrize("fill", GARBAGE)
def test_what_is_masked_does_not_matter(fill: float) -> None:
    lists = ragged(seed=5)
    teacher = lists.teacher.masked_fill(~lists.mask, fill)
    assert at_one(lists.student, teacher, lists.mask).item() == at_one(*lists[:2], lists.mask).item()
    assert_ignored(lambda s: at_one(s, teacher, lists.mask), lists.student, lists.mask, fill)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_candidates_does_not_matter(seed: int) -> None:
    lists = ragged(seed)
    other = shuffled(lists, seed)
    assert at_one(*other[:2], other.mask).item() == pytest.approx(at_one(*lists[:2], lists.mask).item(), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_a_shift_of_either_list_changes_nothing(seed: int) -> None:
    lists = ragged(seed)
    shift = torch.tensor([[-7.0], [0.3], [20.0], [100.0]], dtype=torch.float64)
    moved = at_one(lists.student + shift, lists.teacher - 2 * shift, lists.mask)
    assert moved.item() == pytest.approx(at_one(*lists[:2], lists.mask).item(), abs=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_zero_only_where_the_student_is_the_teacher_plus_a_constant(seed: int) -> None:
    lists = ragged(seed)
    assert at_one(lists.teacher + 5.0, lists.teacher, lists.mask).item() == pytest.approx(0.0, abs=1e-12)
    off = lists.teacher.clone()
    off[0, torch.nonzero(lists.mask[0])[0]] += 1.0
    assert at_one(off, lists.teacher, lists.mask).item() > 1e-5


def test_at_a_high_temperature_it_is_the_squared_difference_of_centred_scores() -> None:
    """METHODS 1.18: T^2 KL tends to sum((s - mean s - t + mean t)^2) / 2K = (0 + 1 + 1) / 6 on the example."""
    high = 1e4
    told = kl(example(STUDENT), example(TEACHER), ALL, student_temperature=high, teacher_temperature=high)
    assert high**2 * told.item() == pytest.approx(1 / 3, rel=1e-3)


def test_the_teacher_gets_no_gradient() -> None:
    teacher = example(TEACHER).requires_grad_(True)
    at_one(example(STUDENT).requires_grad_(True), teacher).backward()
    assert teacher.grad is None


def test_a_teacher_that_is_trained_too_may_be_drawn_to_the_student() -> None:
    """By hand: d KL(p || q) / d t_i = p_i (log p_i - log q_i - KL)."""
    teacher = example(TEACHER).requires_grad_(True)
    value = kl(example(STUDENT), teacher, ALL, student_temperature=1.0, teacher_temperature=1.0, detach=False)
    value.backward()
    p, q = torch.softmax(example(TEACHER), 1), torch.softmax(example(STUDENT), 1)
    expected = p * (p.log() - q.log() - 0.1546978979)
    assert teacher.grad is not None
    assert torch.allclose(teacher.grad, expected, atol=1e-9)


def test_per_candidate_it_is_the_sum_over_the_number_of_valid_ones() -> None:
    lists = ragged(seed=3)
    told = kl(*lists[:2], lists.mask, student_temperature=1.0, teacher_temperature=1.0, reduction="candidates")
    expected = at_one(*lists[:2], lists.mask).item() * len(lists.mask) / lists.mask.sum().item()
    assert told.item() == pytest.approx(expected)


def test_weights_multiply_the_queries() -> None:
    lists = ragged(seed=3)
    each = [at_one(s[None], t[None], m[None]).item() for s, t, _, m in zip(*lists, strict=True)]
    weights = torch.tensor([0.0, 2.0, 0.5, 1.0], dtype=torch.float64, requires_grad=True)
    told = kl(*lists[:2], lists.mask, student_temperature=1.0, teacher_temperature=1.0, weights=weights)
    assert told.item() == pytest.approx(sum(w * v for w, v in zip(weights.tolist(), each, strict=True)) / 4)
    assert not told.requires_grad


def test_a_list_of_one_has_no_gradient() -> None:
    mask = torch.tensor([[True, False, False]])
    assert (gradient(lambda s: at_one(s, example(TEACHER), mask), example(STUDENT)) == 0).all()


def test_masked_log_softmax_is_a_distribution_over_the_valid_candidates() -> None:
    lists = ragged(seed=2)
    found = masked_log_softmax(lists.student.masked_fill(~lists.mask, math.nan), lists.mask)
    assert torch.allclose(found.exp().sum(dim=1), torch.ones(4, dtype=torch.float64))
    assert (found[~lists.mask] == -math.inf).all()
    row, valid = lists.student[0], lists.mask[0]
    assert torch.allclose(found[0, valid], torch.log_softmax(row[valid], 0))


def other(student, teacher, mask, direction):  # type: ignore[no-untyped-def]
    return kl(student, teacher, mask, student_temperature=1.0, teacher_temperature=1.0, direction=direction)


def test_reverse_swaps_the_two() -> None:
    found = other(example(STUDENT), example(TEACHER), ALL, "reverse")
    assert found.item() == pytest.approx(at_one(example(TEACHER), example(STUDENT)).item(), abs=1e-12)


def test_jensen_shannon_by_hand_and_its_bound() -> None:
    p, q = torch.softmax(example(TEACHER), 1)[0].tolist(), torch.softmax(example(STUDENT), 1)[0].tolist()
    m = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    expected = sum(a * math.log(a / c) + b * math.log(b / c) for a, b, c in zip(p, q, m, strict=True)) / 2
    assert other(example(STUDENT), example(TEACHER), ALL, "jensen_shannon").item() == pytest.approx(expected, abs=1e-12)
    far = other(example([60.0, 0.0, 0.0]), example([0.0, 60.0, 0.0]), ALL, "jensen_shannon")
    assert far.item() == pytest.approx(math.log(2), abs=1e-9)


@pytest.mark.parametrize("direction", ["reverse", "jensen_shannon"])
@pytest.mark.parametrize("fill", GARBAGE)
def test_the_other_directions_ignore_what_is_masked(direction: str, fill: float) -> None:
    lists = ragged(seed=5)
    teacher = lists.teacher.masked_fill(~lists.mask, fill)
    assert_ignored(lambda s: other(s, teacher, lists.mask, direction), lists.student, lists.mask, fill)


@pytest.mark.parametrize("direction", ["reverse", "jensen_shannon"])
def test_gradcheck_of_the_other_directions(direction: str) -> None:
    lists = ragged(seed=1)
    assert torch.autograd.gradcheck(
        lambda s: other(s, lists.teacher, lists.mask, direction), lists.student.clone().requires_grad_(True)
    )
