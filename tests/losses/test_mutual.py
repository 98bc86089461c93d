"""Mutual KL: values by hand, who is moved, what is masked."""

import math

import pytest
import torch

from retkd.losses.mutual import mutual_kl
from tests.losses.lists import STUDENT, TEACHER, example

S, T = example(STUDENT), example(TEACHER)

ALL = torch.ones((1, 3), dtype=torch.bool)


def both(one: torch.Tensor, other: torch.Tensor, mask: torch.Tensor = ALL, **told: object) -> tuple[float, float]:
    found = mutual_kl(one, other, mask, **{"temperatures": (1.0, 1.0), **told})  # type: ignore[arg-type]
    return found[0].sum().item(), found[1].sum().item()


def test_the_value_of_methods_0_2_and_its_reverse() -> None:
    """KL(softmax t || softmax s) = 0.1546978979; the other way by hand."""
    to_one, to_other = both(S, T)
    assert to_one == pytest.approx(0.1546978979, abs=1e-9)
    p = [math.exp(x) / sum(math.exp(y) for y in (2, 1, 0)) for x in (2, 1, 0)]
    q = [math.exp(x) / sum(math.exp(y) for y in (3, 1, 2)) for x in (3, 1, 2)]
    assert to_other == pytest.approx(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)), abs=1e-9)


def test_equal_lists_teach_nothing_and_temperatures_belong_to_their_lists() -> None:
    assert both(S, S + 7.0) == pytest.approx((0.0, 0.0), abs=1e-9)
    assert both(S * 0.05, T * 3.0, temperatures=(0.05, 3.0)) == pytest.approx(both(S, T), abs=1e-9)


@pytest.mark.parametrize("detach", [True, False])
def test_detached_each_kl_moves_its_learner_alone(detach: bool) -> None:
    one, other = S.clone().requires_grad_(True), T.clone().requires_grad_(True)
    to_one, to_other = mutual_kl(one, other, ALL, temperatures=(1.0, 1.0), detach=detach)
    for loss, learner, target in ((to_one, one, other), (to_other, other, one)):
        found = torch.autograd.grad(loss.sum(), (learner, target), retain_graph=True, allow_unused=True)
        assert found[0].abs().sum() > 0
        assert (found[1] is None) == detach
        if not detach:
            assert found[1].abs().sum() > 0


def test_the_gradient_is_exact() -> None:
    one, other = (torch.randn((2, 4), dtype=torch.float64, requires_grad=True) for _ in range(2))
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])

    def summed(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.stack(mutual_kl(a, b, mask, temperatures=(0.7, 2.0), detach=False)).sum()

    assert torch.autograd.gradcheck(summed, (one, other))


def test_what_is_masked_does_not_count() -> None:
    mask = torch.tensor([[True, True, True, False]])
    wide = [torch.cat([scores, example([garbage])], dim=1) for scores, garbage in ((S, 1e6), (T, -1e6))]
    one = wide[0].requires_grad_(True)
    assert both(one, wide[1], mask) == pytest.approx(both(S, T), abs=1e-9)
    (found,) = torch.autograd.grad(mutual_kl(one, wide[1], mask, temperatures=(1.0, 1.0))[0].sum(), one)
    assert found[0, 3] == 0
    assert torch.isfinite(found).all()
