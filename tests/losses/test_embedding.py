"""Losses between two vectors of one text: values by hand, and what a rotation, a length or a projection may change."""

import math

import pytest
import torch
from torch.nn import functional

from retkd.losses.embedding import (
    cosine_distance,
    kept_teachers,
    mixed_distance,
    standardised_vectors,
    vector_mse,
    vector_smooth_l1,
)

LOSSES = [cosine_distance, vector_mse, vector_smooth_l1]


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_cosine_by_hand() -> None:
    """Angles of 0, 90 and 180 degrees: 0, 1 and 2."""
    student = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    teacher = torch.tensor([[1.0, 0.0]] * 3)
    assert cosine_distance(student, teacher).item() == pytest.approx(1.0)
    assert cosine_distance(student[:1], teacher[:1]).item() == pytest.approx(0.0)
    assert cosine_distance(student[2:], teacher[2:]).item() == pytest.approx(2.0)


def test_cosine_is_zero_only_for_a_positive_multiple_and_lengths_do_not_count() -> None:
    teacher = drawn(5, 7)
    assert cosine_distance(teacher * 3.5, teacher).item() == pytest.approx(0.0, abs=1e-12)
    assert cosine_distance(-teacher, teacher).item() == pytest.approx(2.0)
    student = drawn(5, 7, seed=1)
    value = cosine_distance(student, teacher).item()
    assert value > 0.1
    assert cosine_distance(student, teacher * 40.0).item() == pytest.approx(value)


def test_mse_and_smooth_l1_by_hand() -> None:
    """Errors 0.5 and 3: the mean of 0.25 and 9; the mean of 0.125 and 2.5."""
    student, teacher = torch.tensor([[0.5, 4.0]]), torch.tensor([[0.0, 1.0]])
    assert vector_mse(student, teacher).item() == pytest.approx(4.625)
    assert vector_smooth_l1(student, teacher).item() == pytest.approx(1.3125)


def test_the_weight_of_clip_kd() -> None:
    """METHODS 1.9: of unit vectors at width 512, 2000 x the mean square is 7.8125 (1 - cos)."""
    student, teacher = functional.normalize(drawn(6, 512), dim=1), functional.normalize(drawn(6, 512, seed=1), dim=1)
    expected = 7.8125 * cosine_distance(student, teacher).item()
    assert 2000 * vector_mse(student, teacher).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_teacher_itself_is_zero_and_the_target_is_detached(loss) -> None:
    teacher = drawn(4, 3).requires_grad_(True)
    student = drawn(4, 3, seed=2).requires_grad_(True)
    assert loss(teacher, teacher).item() == pytest.approx(0.0, abs=1e-12)
    own, target = torch.autograd.grad(loss(student, teacher), [student, teacher], allow_unused=True)
    assert (own != 0).any()
    assert target is None
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher.detach()), student)


def test_standardised_vectors_have_mean_0_and_deviation_1() -> None:
    vectors = standardised_vectors(drawn(3, 50) * 7 + 2)
    assert vectors.mean(dim=1).tolist() == pytest.approx([0.0] * 3, abs=1e-12)
    assert vectors.norm(dim=1).tolist() == pytest.approx([math.sqrt(50)] * 3, rel=1e-4)


def test_the_mixed_distance_is_half_of_each() -> None:
    """Orthogonal vectors (3, 0) and (0, 0.5): 1 - cos is 1; smooth L1 is (2.5 + 0.125) / 2."""
    student, teacher = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 0.5]])
    assert mixed_distance(student, teacher).tolist() == pytest.approx([(1.0 + 1.3125) / 2])
    same = drawn(3, 4)
    assert mixed_distance(same, same).tolist() == pytest.approx([0.0] * 3, abs=1e-12)


def test_without_dropping_every_teacher_counts_alike() -> None:
    losses = drawn(5, 3).abs()
    assert torch.equal(kept_teachers(losses, torch.rand(5, 3), 0.0), torch.full((5, 3), 1 / 3, dtype=torch.float64))


@pytest.mark.parametrize("probability", [0.3, 0.999])
def test_the_furthest_teacher_stays_and_coefficients_add_up_to_one(probability: float) -> None:
    losses = drawn(500, 4).abs()
    draws = torch.rand((500, 4), generator=torch.Generator().manual_seed(1))
    found = kept_teachers(losses, draws, probability)
    assert torch.allclose(found.sum(dim=1), torch.ones(500, dtype=torch.float64))
    assert ((found > 0).sum(dim=1) >= 1).all()
    assert (found.gather(1, losses.argmax(dim=1, keepdim=True)) > 0).all()
    others = torch.ones_like(losses, dtype=torch.bool).scatter(1, losses.argmax(dim=1, keepdim=True), False)
    assert (found[others] == 0).double().mean().item() == pytest.approx(probability, abs=0.05)


def test_the_order_of_teachers_does_not_matter() -> None:
    losses, draws = drawn(8, 3).abs(), torch.rand((8, 3), generator=torch.Generator().manual_seed(2))
    order = [2, 0, 1]
    assert torch.equal(
        kept_teachers(losses[:, order], draws[:, order], 0.5), kept_teachers(losses, draws, 0.5)[:, order]
    )
