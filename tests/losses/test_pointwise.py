"""Labels and a teacher's scores, pair by pair: METHODS 1.12 and 1.5."""

import math
from typing import Any

import pytest
import torch

from retkd.losses.pointwise import Mapping, labels_and_scores, soft_labels, squared_errors, unit_interval
from tests.losses.lists import GARBAGE, assert_ignored, gradient, ragged


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


def test_a_batch_of_all_pairs_by_hand() -> None:
    """B = 4: the positive's error weighs 4/4, each negative's 1/4; BCE weighs a positive B - 1 = 3 times."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn((2, 4, 4), generator=generator, dtype=torch.float64)
    positive, mask = torch.eye(4, dtype=torch.bool), torch.ones((4, 4), dtype=torch.bool)
    s, t = student.tolist(), teacher.tolist()
    pairs = [(i, j) for i in range(4) for j in range(4)]
    entropy = sum(-3 * log_sigmoid(s[i][j]) if i == j else -log_sigmoid(-s[i][j]) for i, j in pairs)
    error = sum((1.0 if i == j else 0.25) * (s[i][j] - t[i][j]) ** 2 for i, j in pairs)
    for alpha in (0.0, 0.5, 1.0):
        found = labels_and_scores(student, teacher, positive, mask, alpha=alpha).item()
        assert found == pytest.approx((alpha * entropy + (1 - alpha) * error) / 4)


def test_the_order_of_the_batch_does_not_matter() -> None:
    lists = ragged(1)
    order = torch.tensor([2, 0, 3, 1])
    moved = [each[order] for each in lists]
    assert labels_and_scores(*moved, alpha=0.3).item() == pytest.approx(labels_and_scores(*lists, alpha=0.3).item())


@pytest.mark.parametrize("fill", GARBAGE)
def test_what_is_masked_changes_nothing(fill: float) -> None:
    student, teacher, positive, mask = ragged(2)
    assert_ignored(lambda s: labels_and_scores(s, teacher, positive, mask, alpha=0.5), student, mask, fill)
    filled = labels_and_scores(student, teacher.masked_fill(~mask, fill), positive, mask, alpha=0.5)
    assert filled.item() == labels_and_scores(student, teacher, positive, mask, alpha=0.5).item()


def test_its_gradient() -> None:
    student, teacher, positive, mask = ragged(3)
    student.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda s: labels_and_scores(s, teacher, positive, mask, alpha=0.5), (student,))


def test_the_teachers_scores_are_the_optimum_without_labels() -> None:
    student, teacher, positive, mask = ragged(4)
    assert labels_and_scores(teacher, teacher, positive, mask, alpha=0.0).item() == 0.0
    assert labels_and_scores(student, teacher, positive, mask, alpha=0.0).item() > 0.0


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ("clip", [0.0, 0.0, 0.5, 1.0]),
        ("shift", [0.25, 0.5, 0.75, 1.0]),
        ("sigmoid", [1 / (1 + math.exp(0.5)), 0.5, 1 / (1 + math.exp(-0.5)), 1 / (1 + math.exp(-1.0))]),
        ("as_is", [-0.5, 0.0, 0.5, 1.0]),
    ],
)
def test_scores_as_numbers_between_zero_and_one(mapping: Mapping, expected: list[float]) -> None:
    assert unit_interval(torch.tensor([[-0.5, 0.0, 0.5, 1.0]]), mapping)[0].tolist() == pytest.approx(expected)


def test_the_gradient_of_soft_labels_is_the_sigmoid_less_the_target() -> None:
    """METHODS 1.5: zero at f = logit(target)."""
    lists = ragged(1)
    target = torch.sigmoid(lists.teacher)
    found = gradient(lambda s: soft_labels(s, target, lists.mask), lists.student)
    expected = ((torch.sigmoid(lists.student) - target) / lists.mask.sum()).masked_fill(~lists.mask, 0.0)
    assert torch.allclose(found, expected, atol=1e-12)
    there = gradient(lambda s: soft_labels(s, target, lists.mask), lists.teacher)
    assert torch.allclose(there, torch.zeros_like(there), atol=1e-12)


def test_squared_errors_by_hand() -> None:
    mask = torch.tensor([[True, True, False]])
    found = squared_errors(torch.tensor([[0.5, -0.2, 9.0]]), torch.tensor([[0.9, 0.1, 0.0]]), mask)
    assert found.item() == pytest.approx((0.16 + 0.09) / 2)


@pytest.mark.parametrize("fill", GARBAGE)
@pytest.mark.parametrize("loss", [soft_labels, squared_errors])
def test_of_single_pairs_too_what_is_masked_changes_nothing(loss: Any, fill: float) -> None:
    lists = ragged(2)
    target = torch.sigmoid(lists.teacher).masked_fill(~lists.mask, fill)
    assert_ignored(lambda s: loss(s, target, lists.mask), lists.student, lists.mask, fill)
    target.requires_grad_(True)
    loss(lists.student.clone().requires_grad_(True), target, lists.mask).backward()
    assert target.grad is None
