"""How well a teacher ranks the judged list."""

import math

import pytest
import torch

from retkd.losses.quality import Quality, list_quality
from tests.losses.lists import ragged

SCORES = torch.tensor([[0.1, 0.9, 0.5, 0.7, 99.0], [3.0, 2.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
POSITIVE = torch.tensor([[True, False, False, True, True], [False] * 5])
MASK = torch.tensor([[True, True, True, True, False], [True] * 5])


@pytest.mark.parametrize(
    ("measure", "cutoff", "expected"),
    [
        ("AP", 10, (1 / 2 + 2 / 4) / 2),
        ("AP", 3, (1 / 2) / 2),
        ("AP", 1, 0.0),
        ("RR", 10, 1 / 2),
        ("RR", 1, 0.0),
        ("nDCG", 10, (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3))),
        ("nDCG", 2, (1 / math.log2(3)) / (1 + 1 / math.log2(3))),
    ],
)
def test_by_hand(measure: Quality, cutoff: int, expected: float) -> None:
    """Positives at places 2 and 4; a positive that is masked is none; a list without positives has 0."""
    found = list_quality(SCORES, POSITIVE, MASK, measure=measure, cutoff=cutoff)
    assert found.tolist() == pytest.approx([expected, 0.0])


@pytest.mark.parametrize("measure", ["AP", "RR", "nDCG"])
@pytest.mark.parametrize("seed", range(3))
def test_it_lies_between_zero_and_one_which_is_the_perfect_order(measure: Quality, seed: int) -> None:
    lists = ragged(seed)
    found = list_quality(lists.teacher.requires_grad_(True), lists.positive, lists.mask, measure=measure, cutoff=3)
    assert ((found >= 0) & (found <= 1)).all()
    assert not found.requires_grad
    perfect = list_quality(lists.positive.double(), lists.positive, lists.mask, measure=measure, cutoff=3)
    assert perfect.tolist() == pytest.approx([1.0] * 4)
