import math

import pytest
import torch

from retkd.losses.listwise import standardised
from tests.losses.lists import GARBAGE, example, gradient, ragged


def test_a_list_worked_out_by_hand() -> None:
    """(1, 3, 5, 7): mean 4, population variance (9 + 1 + 1 + 9) / 4 = 5."""
    scores = example([1.0, 3.0, 5.0, 7.0])
    expected = example([-3.0, -1.0, 1.0, 3.0]) / math.sqrt(5.0)
    assert torch.allclose(standardised(scores, torch.ones_like(scores, dtype=torch.bool)), expected)


@pytest.mark.parametrize("fill", GARBAGE)
def test_mean_and_deviation_are_over_the_valid_candidates(fill: float) -> None:
    lists = ragged(seed=1)
    found = standardised(lists.student.masked_fill(~lists.mask, fill), lists.mask)
    assert (found[~lists.mask] == 0).all()
    for row, valid in zip(found, lists.mask, strict=True):
        assert row[valid].mean().item() == pytest.approx(0.0, abs=1e-12)
        assert row[valid].std(correction=0).item() == pytest.approx(1.0, abs=1e-12)


def test_a_rising_affine_change_of_a_list_changes_nothing() -> None:
    lists = ragged(seed=2)
    changed = lists.student * torch.tensor([[0.1], [1.0], [3.0], [50.0]], dtype=torch.float64) + 8.0
    assert torch.allclose(standardised(changed, lists.mask), standardised(lists.student, lists.mask))


def test_a_constant_list_and_a_list_of_one_become_zero_with_a_finite_gradient() -> None:
    scores = torch.tensor([[4.0, 4.0, 4.0], [2.0, 9.0, 9.0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    assert (standardised(scores, mask) == 0).all()
    assert torch.isfinite(gradient(lambda s: standardised(s, mask).sum(), scores)).all()
