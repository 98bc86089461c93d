import math

import pytest
import torch

from retkd.losses.spread import alignment, uniformity


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_alignment_by_hand() -> None:
    """Pairs at 0, 90 and 180 degrees have squared distances 0, 2 and 4; what is no positive does not count."""
    queries, documents = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 1.0], [-3.0, 0.0], [5.0, 5.0]])
    assert alignment(queries, documents, torch.tensor([[True, True, True, False]])).item() == pytest.approx(2.0)
    assert alignment(queries, documents, torch.zeros((1, 4), dtype=torch.bool)).item() == 0.0


def test_uniformity_by_hand() -> None:
    """Three vectors, squared distances 2, 4 and 2, at t = 1: log((2 e^-2 + e^-4) / 3)."""
    vectors = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])
    expected = math.log((2 * math.exp(-2) + math.exp(-4)) / 3)
    assert uniformity(vectors, temperature=1.0).item() == pytest.approx(expected)


def test_equal_vectors_are_worst_and_opposite_ones_best() -> None:
    same = drawn(1, 4).expand(6, 4)
    assert uniformity(same, temperature=2.0).item() == pytest.approx(0.0, abs=1e-12)
    assert uniformity(torch.cat([same[:1], -same[:1]]), temperature=2.0).item() == pytest.approx(-8.0)
    assert uniformity(same[:1], temperature=2.0).item() == 0.0


def test_a_rotation_changes_nothing_and_gradcheck() -> None:
    queries, documents = drawn(3, 4), drawn(5, 4, seed=1)
    positive = torch.eye(5, dtype=torch.bool)[:3]
    turn = torch.linalg.qr(drawn(4, 4, seed=2)).Q
    value = uniformity(queries, temperature=2.0).item()
    assert uniformity(queries @ turn, temperature=2.0).item() == pytest.approx(value)
    turned = alignment(queries @ turn, documents @ turn, positive).item()
    assert turned == pytest.approx(alignment(queries, documents, positive).item())
    assert torch.autograd.gradcheck(lambda q: uniformity(q, temperature=2.0), queries.clone().requires_grad_(True))
    assert torch.autograd.gradcheck(lambda q: alignment(q, documents, positive), queries.requires_grad_(True))
