"""Weights of queries by what teacher and student say: METHODS part 2, KD^3."""

import math

import pytest
import torch

from retkd.losses.agreement import agreement_weights
from tests.losses.lists import ragged

AT_ONE = {"student_temperature": 1.0, "teacher_temperature": 1.0}


def test_uniform_predictions_give_uniform_weights() -> None:
    flat, mask = torch.zeros((3, 4)), torch.tensor([[True] * 4, [True] * 2 + [False] * 2, [True] + [False] * 3])
    assert agreement_weights(flat, flat, mask, **AT_ONE, sharpness=5.0).tolist() == pytest.approx([1.0] * 3)


def test_by_hand() -> None:
    """Query 0: sure and agreed, 1 + 0. Query 1: sure, all else, 1 + 0. Query 2: unsure (c = 0) and agreed, 0."""
    sure = [200.0, 0.0]
    teacher = torch.tensor([sure, sure, [0.0, 0.0]], dtype=torch.float64)
    student = torch.tensor([sure, sure[::-1], [0.0, 0.0]], dtype=torch.float64)
    found = agreement_weights(student, teacher, torch.ones((3, 2), dtype=torch.bool), **AT_ONE, sharpness=2.0)
    total = 2 * math.exp(2.0) + 1
    assert found.tolist() == pytest.approx([3 * math.exp(2.0) / total] * 2 + [3 / total])


def test_half_agreed_weighs_most() -> None:
    """The same sure teacher; a student that is uniform agrees in part."""
    teacher = torch.tensor([[200.0, 0.0]] * 3, dtype=torch.float64)
    student = torch.tensor([[200.0, 0.0], [0.0, 0.0], [0.0, 200.0]], dtype=torch.float64)
    found = agreement_weights(student, teacher, torch.ones((3, 2), dtype=torch.bool), **AT_ONE, sharpness=1.0)
    assert found[1] > found[0]
    assert found[0].item() == pytest.approx(found[2].item())


@pytest.mark.parametrize("seed", range(3))
def test_their_mean_is_one_without_gradient_and_sharpness_zero_is_none(seed: int) -> None:
    lists = ragged(seed)
    student = lists.student.clone().requires_grad_(True)
    found = agreement_weights(student, lists.teacher, lists.mask, **AT_ONE, sharpness=3.0)
    assert found.mean().item() == pytest.approx(1.0)
    assert not found.requires_grad
    alike = agreement_weights(student, lists.teacher, lists.mask, **AT_ONE, sharpness=0.0)
    assert alike.tolist() == pytest.approx([1.0] * 4)
