"""SinKD: METHODS part 2."""

import math
from typing import Any

import pytest
import torch

from retkd.losses.sinkhorn import sinkhorn_distance
from tests.losses.lists import ragged

SETTINGS: dict[str, Any] = {
    "student_temperature": 2.0,
    "teacher_temperature": 2.0,
    "smoothing": 0.1,
    "num_iterations": 20,
}


def test_two_queries_by_hand() -> None:
    """The student's profiles are the teacher's: W = [[0, w], [w, 0]], the plan [[1, e], [e, 1]] / (1 + e), e = exp(-w/0.1).

    In the teacher's order, the distributions are softmax(1, 0) and softmax(0.1, 0).
    """
    scores = torch.tensor([[2.0, 0.0], [0.0, 0.2]], dtype=torch.float64)
    p, q = 1 / (1 + math.exp(-1.0)), 1 / (1 + math.exp(-0.1))
    cost = 2 * (p - q)
    leak = math.exp(-cost / 0.1)
    found = sinkhorn_distance(scores, scores, torch.ones((2, 2), dtype=torch.bool), **SETTINGS)
    assert found.item() == pytest.approx(cost * leak / (1 + leak), abs=1e-12)


def test_it_does_not_know_which_query_a_teacher_row_is_of() -> None:
    """So it must not stand alone: dealt to other queries, the teacher's lists give the same value."""
    lists = ragged(2, num_queries=5)
    mask = torch.ones_like(lists.mask)
    student, teacher = (each.sort(dim=1, descending=True).values for each in lists[:2])
    dealt = teacher[torch.tensor([3, 0, 4, 1, 2])]
    one, other = (sinkhorn_distance(student, each, mask, **SETTINGS).item() for each in (teacher, dealt))
    assert one == pytest.approx(other, abs=1e-12)
    itself = [sinkhorn_distance(teacher, each, mask, **SETTINGS).item() for each in (teacher, dealt)]
    assert itself[0] == pytest.approx(itself[1], abs=1e-12)
    assert itself[0] < one


def test_rows_and_columns_of_the_plan_sum_to_one() -> None:
    """So the distance of two far apart lists of one query each is their whole cost, 2."""
    far = torch.tensor([[200.0, 0.0]], dtype=torch.float64)
    found = sinkhorn_distance(-far, far, torch.ones((1, 2), dtype=torch.bool), **SETTINGS)
    assert found.item() == pytest.approx(2.0)
