"""OFA's target: METHODS part 2."""

import math

import pytest
import torch

from retkd.losses.adaptive_target import adaptive_cross_entropy
from tests.losses.lists import STUDENT, TEACHER, example

ALL, FIRST = torch.ones((1, 3), dtype=torch.bool), torch.tensor([[True, False, False]])


def at(epsilon: float) -> float:
    return adaptive_cross_entropy(
        example(STUDENT),
        example(TEACHER),
        FIRST,
        ALL,
        epsilon=epsilon,
        student_temperature=1.0,
        teacher_temperature=1.0,
    ).item()


def test_at_one_it_is_the_soft_cross_entropy_of_methods_0_2() -> None:
    """ListNet, 0.9870934797."""
    assert at(1.0) == pytest.approx(0.9870934797, abs=1e-10)


def test_above_one_by_hand() -> None:
    p = torch.softmax(example(TEACHER), 1)[0].tolist()
    log_q = torch.log_softmax(example(STUDENT), 1)[0].tolist()
    weights = [(p[0] + 1) ** 2 - 1, p[1] ** 2, p[2] ** 2]
    assert at(2.0) == pytest.approx(-sum(w * q for w, q in zip(weights, log_q, strict=True)))
    assert weights[0] / math.fsum(weights) > p[0], "more of the weight is on the label"
