"""XDED on the scores of a batch: METHODS part 2."""

import pytest
import torch

from retkd.losses.paraphrases import consensus_kl
from tests.losses.lists import gradient

SCORES = torch.randn((4, 5), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
SAME = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]], dtype=torch.bool)


def test_by_hand() -> None:
    """The first three queries ask for the same; each is drawn to the mean of the other two."""
    p = torch.softmax(SCORES / 0.5, 1)
    means = [(p[1] + p[2]) / 2, (p[0] + p[2]) / 2, (p[0] + p[1]) / 2]
    expected = sum((m * (m.log() - own.log())).sum().item() for m, own in zip(means, p, strict=False)) / 4
    assert consensus_kl(SCORES, SAME, temperature=0.5).item() == pytest.approx(expected)


def test_alike_or_alone_they_give_zero() -> None:
    alike = SCORES[:1].expand(4, 5) + torch.arange(4).unsqueeze(1)
    assert consensus_kl(alike, SAME, temperature=0.5).item() == pytest.approx(0.0, abs=1e-12)
    alone = torch.eye(4, dtype=torch.bool)
    assert consensus_kl(SCORES, alone, temperature=0.5).item() == 0.0
    assert (gradient(lambda s: consensus_kl(s, alone, temperature=0.5), SCORES) == 0).all()


def test_the_mean_of_the_others_gets_no_gradient() -> None:
    """So a query's gradient is its own softmax less that mean."""
    p = torch.softmax(SCORES / 0.5, 1)
    expected = (p[0] - (p[1] + p[2]) / 2) / 0.5 / 4
    found = gradient(lambda s: consensus_kl(s, SAME, temperature=0.5), SCORES)
    assert torch.allclose(found[0], expected, atol=1e-12)
    assert (found[3] == 0).all()


def test_a_share_too_small_for_the_numbers_is_no_nan() -> None:
    far = torch.tensor([[400.0, 0.0], [400.0, 0.0]])
    same = torch.ones((2, 2), dtype=torch.bool)
    assert consensus_kl(far, same, temperature=0.5).item() == pytest.approx(0.0, abs=1e-6)
