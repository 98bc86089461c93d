import pytest
import torch

from retkd.losses.sparsity import flops, l1, quadratic_ramp

WEIGHTS = torch.tensor([[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]], dtype=torch.float64)


def test_by_hand() -> None:
    """Means 2, 0, 1: 4 + 0 + 1. Sums 3 and 3."""
    assert flops(WEIGHTS) == 5.0
    assert l1(WEIGHTS) == 3.0


def test_flops_prefers_terms_that_few_texts_have() -> None:
    """The same weights, in one column or each in its own: 1 against a quarter of it for four texts."""
    together, apart = torch.zeros(4, 4), torch.eye(4)
    together[:, 0] = 1.0
    assert l1(together) == l1(apart)
    assert flops(together) == 4 * flops(apart) == 1.0


def test_gradients() -> None:
    weights = torch.rand(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(flops, (weights,))
    assert torch.autograd.gradcheck(l1, (weights,))


@pytest.mark.parametrize("ramp_steps", [1, 4, 50])
def test_the_ramp_reaches_its_cap_at_the_step_after_the_last(ramp_steps: int) -> None:
    shares = [quadratic_ramp(step, ramp_steps) for step in range(ramp_steps + 3)]
    assert shares[0] == 0.0
    assert all(share < 1.0 for share in shares[: ramp_steps + 1])
    assert shares[ramp_steps + 1 :] == [1.0, 1.0]
    assert shares[1] == pytest.approx(1 / (ramp_steps + 1) ** 2)
