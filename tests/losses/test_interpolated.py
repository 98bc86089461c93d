"""TAID's target: METHODS part 2."""

import pytest
import torch

from retkd.losses.interpolated import interpolated_kl
from retkd.losses.listwise import kl
from tests.losses.lists import STUDENT, TEACHER, example, gradient, ragged

ALL = torch.ones((1, 3), dtype=torch.bool)


def at(student, teacher, mask, share):  # type: ignore[no-untyped-def]
    return interpolated_kl(student, teacher, mask, share=share, student_temperature=0.7, teacher_temperature=2.0)


def test_the_value_of_methods() -> None:
    value = interpolated_kl(
        example(STUDENT), example(TEACHER), ALL, share=0.4, student_temperature=1.0, teacher_temperature=1.0
    )
    assert value.item() == pytest.approx(0.0247379435, abs=1e-10)


def test_without_the_teacher_value_and_gradient_are_zero() -> None:
    lists = ragged(0)
    assert at(*lists[:2], lists.mask, 0.0).item() == pytest.approx(0.0, abs=1e-12)
    found = gradient(lambda s: at(s, lists.teacher, lists.mask, 0.0), lists.student)
    assert torch.allclose(found, torch.zeros_like(found), atol=1e-12)


def test_with_the_teacher_alone_it_is_the_kl() -> None:
    lists = ragged(1)
    expected = kl(*lists[:2], lists.mask, student_temperature=0.7, teacher_temperature=2.0)
    assert at(*lists[:2], lists.mask, 1.0).item() == pytest.approx(expected.item())


def test_the_student_in_the_target_gets_no_gradient() -> None:
    """By hand: (softmax(s / 0.7) - p) / 0.7, p the target."""
    student, teacher = example(STUDENT), example(TEACHER)
    target = torch.softmax(0.6 * student / 0.7 + 0.4 * teacher / 2.0, 1)
    expected = (torch.softmax(student / 0.7, 1) - target) / 0.7
    assert torch.allclose(gradient(lambda s: at(s, teacher, ALL, 0.4), student), expected, atol=1e-12)
