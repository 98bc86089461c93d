"""Several teachers' losses made one: weights, gate and policy, by hand and by the properties of METHODS 1.17 and part 2."""

import math

import pytest
import torch

from retkd.losses.listwise import kl
from retkd.losses.routing import drawn_teachers, imbalance, lead, reinforced, routed, sureness, teacher_divergences
from tests.losses.lists import STUDENT, TEACHER, example, ragged

GATE = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
VALUES = torch.tensor([[1.0, 2.0, 4.0], [3.0, 5.0, 7.0]])


def test_divergences_are_those_of_each_teacher_alone() -> None:
    """On the list of METHODS 0.2: 0.1546978979 for the teacher, 0 for the student itself moved by a constant."""
    one = torch.stack([example(TEACHER), example(STUDENT) + 3.0])
    mask = torch.ones((1, 3), dtype=torch.bool)
    found = teacher_divergences(example(STUDENT), one, mask, student_temperature=1.0, teacher_temperature=1.0)
    assert found[0].tolist() == pytest.approx([0.1546978979, 0.0], abs=1e-9)
    lists = ragged(0)
    temperatures = {"student_temperature": 0.5, "teacher_temperature": 2.0}
    found = teacher_divergences(lists.student, torch.stack([lists.teacher, -lists.teacher]), lists.mask, **temperatures)
    for column, teacher in ((0, lists.teacher), (1, -lists.teacher)):
        expected = kl(lists.student, teacher, lists.mask, **temperatures)
        assert found[:, column].mean().item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize("garbage", [1e30, -1e30, math.inf, math.nan])
def test_what_is_masked_does_not_count(garbage: float) -> None:
    lists = ragged(1)
    teacher = lists.teacher.masked_fill(~lists.mask, garbage)
    temperatures = {"student_temperature": 1.0, "teacher_temperature": 1.0}
    student = lists.student.masked_fill(~lists.mask, garbage).requires_grad_(True)
    found = teacher_divergences(student, teacher.unsqueeze(0), lists.mask, **temperatures)
    plain = teacher_divergences(lists.student, lists.teacher.unsqueeze(0), lists.mask, **temperatures)
    assert torch.equal(found, plain)
    (gradient,) = torch.autograd.grad(found.sum(), student)
    assert torch.isfinite(gradient).all()
    assert (gradient[~lists.mask] == 0).all()
    assert torch.equal(sureness(teacher, lists.mask), sureness(lists.teacher, lists.mask))
    assert torch.equal(lead(teacher, lists.mask), lead(lists.teacher, lists.mask))


def test_how_sure_a_list_is_by_hand() -> None:
    mask = torch.tensor([[True, True, True], [True, True, True], [True, False, False], [True, True, False]])
    scores = torch.tensor([[2.0, 1.0, 0.0], [5.0, 5.0, 5.0], [1.0, 9.0, 9.0], [3.0, 1.0, 9.0]])
    p = [math.exp(x) / sum(math.exp(y) for y in (2, 1, 0)) for x in (2, 1, 0)]
    two = [math.exp(x) / (math.exp(3) + math.exp(1)) for x in (3, 1)]
    expected = [
        1 + sum(x * math.log(x) for x in p) / math.log(3),
        0.0,
        0.0,
        1 + sum(x * math.log(x) for x in two) / math.log(2),
    ]
    assert sureness(scores, mask).tolist() == pytest.approx(expected, abs=1e-6)
    assert lead(scores, mask).tolist() == [1.0, 0.0, 0.0, 2.0]
    assert lead(scores[:, :1], mask[:, :1]).tolist() == [0.0] * 4


def test_the_best_few_by_hand() -> None:
    weighted = ((0.5 * 1 + 0.3 * 2) / 0.8 + (0.2 * 5 + 0.7 * 7) / 0.9) / 2
    assert routed(VALUES, GATE, top_k=2, weighted=True).item() == pytest.approx(weighted, abs=1e-6)
    assert routed(VALUES, GATE, top_k=2, weighted=False).item() == pytest.approx((1.5 + 6.0) / 2)
    assert routed(VALUES, GATE, top_k=1, weighted=False).item() == pytest.approx((1.0 + 7.0) / 2)
    level = torch.full((2, 3), 1 / 3)
    assert routed(VALUES, level, top_k=1, weighted=False).item() == pytest.approx((1.0 + 3.0) / 2)


def test_all_teachers_are_the_mean_of_all_losses() -> None:
    assert routed(VALUES, GATE, top_k=3, weighted=False).item() == pytest.approx(VALUES.mean().item())
    level = torch.full((2, 3), 1 / 3)
    assert routed(VALUES, level, top_k=3, weighted=True).item() == pytest.approx(VALUES.mean().item())


def test_a_gate_that_does_not_weigh_learns_nothing_from_the_losses() -> None:
    """METHODS 1.17, the defect: without balance and unweighted its gradient is zero; weighted it moves to the lower loss."""
    logits = torch.log(GATE).requires_grad_(True)
    loss = routed(VALUES, torch.softmax(logits, dim=1), top_k=2, weighted=False)
    assert not loss.requires_grad
    (found,) = torch.autograd.grad(routed(VALUES, torch.softmax(logits, dim=1), top_k=2, weighted=True), logits)
    assert found[0, 0] < 0 < found[0, 1]
    assert found[0, 2] == pytest.approx(0.0, abs=1e-7)
    assert found[1, 2] > 0


def test_balance_is_zero_only_where_the_mean_gate_is_uniform() -> None:
    swapped = torch.tensor([[0.7, 0.2, 0.1], [0.2, 0.1, 0.7], [0.1, 0.7, 0.2]])
    assert imbalance(swapped).item() == pytest.approx(0.0, abs=1e-6)
    assert imbalance(GATE).item() == pytest.approx(
        -(math.log(0.3) + math.log(0.25) + math.log(0.45)) / 3 - math.log(3), abs=1e-6
    )
    assert imbalance(GATE).item() > 0


def test_at_least_one_teacher_is_used() -> None:
    chance = torch.tensor([[0.2, 0.6], [0.9, 0.1]])
    drawn, used = drawn_teachers(chance, torch.tensor([[0.5, 0.7], [0.3, 0.05]]))
    assert drawn.tolist() == [[False, False], [True, True]]
    assert used.tolist() == [[False, True], [True, True]]


def test_reinforce_by_hand() -> None:
    """Rewards -1, -6 and -5: each against the mean of the other two, times the log-chance of its own draw."""
    values = torch.tensor([[1.0, 9.0], [5.0, 7.0], [5.0, 2.0]])
    drawn = torch.tensor([[True, False], [True, True], [True, False]])
    logits = torch.tensor([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]])
    value, policy = reinforced(values, logits, drawn, drawn)
    assert value.item() == pytest.approx((1 + 6 + 5) / 3)

    def log(x: float) -> float:
        return -math.log1p(math.exp(-x))

    chances = [log(0) + log(-1), log(2) + log(-1), log(0.5) + log(-0.5)]
    gains = [-1 + (6 + 5) / 2, -6 + (1 + 5) / 2, -5 + (1 + 6) / 2]
    assert policy.item() == pytest.approx(-sum(g * c for g, c in zip(gains, chances, strict=True)) / 3, abs=1e-6)


def test_constant_rewards_move_no_policy() -> None:
    logits = torch.randn((5, 3), generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    drawn, used = drawn_teachers(torch.sigmoid(logits), torch.rand((5, 3), generator=torch.Generator().manual_seed(1)))
    _, policy = reinforced(torch.full((5, 3), 2.0), logits, drawn, used)
    (found,) = torch.autograd.grad(policy, logits)
    assert found.abs().max() == pytest.approx(0.0, abs=1e-6)
    alone = reinforced(torch.tensor([[3.0, 1.0, 2.0]]), logits[:1], drawn[:1], used[:1])[1]
    assert alone.item() == 0.0


def test_a_gain_that_does_not_hang_on_the_draw_moves_the_policy_nowhere_on_average() -> None:
    """The mean over 40,000 draws of the gradient, at rewards that differ between queries but not between teachers."""
    logits = torch.tensor([[0.7, -0.4]]).repeat(40_000, 1).requires_grad_(True)
    numbers = torch.rand((40_000, 2), generator=torch.Generator().manual_seed(0))
    drawn, used = drawn_teachers(torch.sigmoid(logits), numbers)
    values = torch.rand((40_000, 1), generator=torch.Generator().manual_seed(1)).repeat(1, 2)
    (found,) = torch.autograd.grad(reinforced(values, logits, drawn, used)[1], logits)
    assert found.sum(dim=0).abs().max() < 0.005


def test_the_policy_goes_to_the_teacher_with_the_lower_loss() -> None:
    logits = torch.zeros((4000, 2), requires_grad=True)
    drawn, used = drawn_teachers(
        torch.sigmoid(logits), torch.rand((4000, 2), generator=torch.Generator().manual_seed(0))
    )
    values = torch.tensor([[1.0, 3.0]]).repeat(4000, 1)
    (found,) = torch.autograd.grad(reinforced(values, logits, drawn, used)[1], logits)
    assert found.sum(dim=0)[0] < 0 < found.sum(dim=0)[1]
