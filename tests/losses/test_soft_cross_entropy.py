import numpy as np
import pytest
import torch

from retkd.losses.listwise import kl, soft_cross_entropy
from tests.losses.lists import GARBAGE, STUDENT, TEACHER, assert_ignored, example, gradient, ragged

ALL = torch.ones((1, 3), dtype=torch.bool)


def test_the_value_of_methods_0_2() -> None:
    """Soft cross-entropy 0.9870934797 of s = (2, 1, 0) under softmax of t = (3, 1, 2)."""
    weights = torch.softmax(example(TEACHER), dim=1)
    value = soft_cross_entropy(example(STUDENT), weights, ALL, student_temperature=1.0).item()
    assert value == pytest.approx(0.9870934797, abs=1e-10)


def test_its_gradient_is_that_of_kl() -> None:
    def soft(s: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax(example(TEACHER) / 2.0, dim=1)
        return soft_cross_entropy(s, weights, ALL, student_temperature=0.5)

    def full(s: torch.Tensor) -> torch.Tensor:
        return kl(s, example(TEACHER), ALL, student_temperature=0.5, teacher_temperature=2.0)

    assert torch.allclose(gradient(soft, example(STUDENT)), gradient(full, example(STUDENT)), atol=1e-12)


def test_the_mean_gradient_over_draws_is_that_of_the_distribution() -> None:
    """RS-KD: unbiased, because the loss is linear in the weights."""
    p = torch.softmax(example(TEACHER), dim=1)
    counts = np.random.default_rng(0).multinomial(12, p[0].numpy(), size=4000) / 12
    student = example(STUDENT).repeat(4000, 1)
    mask = torch.ones((4000, 3), dtype=torch.bool)
    found = gradient(lambda s: soft_cross_entropy(s, torch.from_numpy(counts), mask, student_temperature=1.0), student)
    expected = gradient(lambda s: soft_cross_entropy(s, p, ALL, student_temperature=1.0), example(STUDENT))
    assert torch.allclose(found.sum(dim=0), expected[0], atol=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_gradcheck(seed: int) -> None:
    lists = ragged(seed)
    weights = torch.rand_like(lists.student)
    assert torch.autograd.gradcheck(
        lambda s: soft_cross_entropy(s, weights, lists.mask, student_temperature=0.7),
        lists.student.clone().requires_grad_(True),
    )


@pytest.mark.parametrize("fill", GARBAGE)
def test_what_is_masked_does_not_matter(fill: float) -> None:
    lists = ragged(seed=5)
    weights = torch.rand_like(lists.student)

    def loss(student: torch.Tensor) -> torch.Tensor:
        return soft_cross_entropy(student, weights, lists.mask, student_temperature=0.7)

    assert_ignored(loss, lists.student, lists.mask, fill)
    filled = weights.masked_fill(~lists.mask, fill)

    def under(student: torch.Tensor) -> torch.Tensor:
        return soft_cross_entropy(student, filled, lists.mask, student_temperature=0.7)

    assert under(lists.student) == loss(lists.student)
    assert torch.equal(gradient(under, lists.student), gradient(loss, lists.student))


def test_no_gradient_reaches_the_weights() -> None:
    weights = torch.softmax(example(TEACHER), dim=1).requires_grad_(True)
    student = example(STUDENT).requires_grad_(True)
    soft_cross_entropy(student, weights, ALL, student_temperature=1.0).backward()
    assert weights.grad is None
