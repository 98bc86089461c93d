"""Affinity mimicking: METHODS 1.10."""

import pytest
import torch

from retkd.losses.affinity import affinity_mimicking
from retkd.losses.listwise import kl
from tests.losses.lists import gradient

QUERIES, DOCUMENTS = torch.randn((2, 5, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
STUDENT = QUERIES[:3] @ DOCUMENTS.T
TEACHER = torch.randn((3, 5), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
BACK = torch.tensor([True, False, True, True, False])


def at(student, teacher=TEACHER, back=BACK, temperature=0.5):  # type: ignore[no-untyped-def]
    return affinity_mimicking(student, teacher, back, student_temperature=temperature, teacher_temperature=0.5)


def test_both_directions_by_hand() -> None:
    there = -(torch.softmax(TEACHER / 0.5, 1) * torch.log_softmax(STUDENT / 0.5, 1)).sum(1).mean()
    back = -(torch.softmax(TEACHER / 0.5, 0) * torch.log_softmax(STUDENT / 0.5, 0)).sum(0)[BACK].mean()
    assert at(STUDENT).item() == pytest.approx((there + back).item() / 2)
    assert at(STUDENT, back=torch.zeros_like(BACK)).item() == pytest.approx(there.item() / 2)


def test_at_the_teachers_scores_the_gradient_is_zero_and_the_value_its_entropy() -> None:
    p, q = torch.softmax(TEACHER / 0.5, 1), torch.softmax(TEACHER / 0.5, 0)
    entropies = -(p * p.log()).sum(1).mean() - (q * q.log()).sum(0)[BACK].mean()
    assert at(TEACHER).item() == pytest.approx(entropies.item() / 2)
    assert at(TEACHER).item() > 0.1
    found = gradient(at, TEACHER)
    assert torch.allclose(found, torch.zeros_like(found), atol=1e-12)


def test_the_first_half_is_in_batch_kl_up_to_the_teachers_entropy() -> None:
    mask = torch.ones_like(STUDENT, dtype=torch.bool)
    found = gradient(lambda s: 2 * at(s, back=torch.zeros_like(BACK)), STUDENT)
    expected = gradient(lambda s: kl(s, TEACHER, mask, student_temperature=0.5, teacher_temperature=0.5), STUDENT)
    assert torch.allclose(found, expected, atol=1e-12)


def test_a_rotation_of_both_towers_changes_nothing() -> None:
    turn, _ = torch.linalg.qr(torch.randn((4, 4), generator=torch.Generator().manual_seed(2), dtype=torch.float64))
    turned = (QUERIES[:3] @ turn) @ (DOCUMENTS @ turn).T
    assert at(turned).item() == pytest.approx(at(STUDENT).item())


def test_gradcheck_and_a_teacher_without_gradient() -> None:
    assert torch.autograd.gradcheck(at, (STUDENT.clone().requires_grad_(True),))
    teacher = TEACHER.clone().requires_grad_(True)
    at(STUDENT.clone().requires_grad_(True), teacher).backward()
    assert teacher.grad is None


def test_each_side_has_its_own_temperature() -> None:
    assert at(2 * STUDENT, temperature=1.0).item() == pytest.approx(at(STUDENT).item())
