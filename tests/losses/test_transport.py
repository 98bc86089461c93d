import pytest
import torch

from retkd.losses.transport import transport_cost, transport_plan


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_plan_has_equal_marginals() -> None:
    plan = transport_plan(drawn(4, 6).abs(), epsilon=0.2, num_iterations=200)
    assert plan.sum(dim=0).tolist() == pytest.approx([1 / 6] * 6)
    assert plan.sum(dim=1).tolist() == pytest.approx([1 / 4] * 4)


def test_two_by_two_by_hand() -> None:
    """Costs 0 on the diagonal and 1 off it: the plan is 1/2 (e^0, e^-1/eps) / (1 + e^-1/eps) in each row."""
    plan = transport_plan(1 - torch.eye(2, dtype=torch.float64), epsilon=0.5, num_iterations=50)
    kernel = torch.tensor(-2.0, dtype=torch.float64).exp()
    assert plan[0].tolist() == pytest.approx([(0.5 / (1 + kernel)).item(), (0.5 * kernel / (1 + kernel)).item()])


def test_the_cost_is_zero_where_the_sets_coincide_in_any_order_and_nowhere_else() -> None:
    teacher = drawn(5, 8)
    told = {"epsilon": 0.01, "num_iterations": 200}
    assert transport_cost(teacher[[3, 0, 4, 1, 2]] * 2.0, teacher, **told).item() == pytest.approx(0.0, abs=1e-9)
    assert transport_cost(teacher[[3, 0, 4, 1, 1]], teacher, **told).item() > 0.05
    assert transport_cost(-teacher, teacher, **told).item() > 0.05


def test_the_gradient_is_that_of_the_cost_under_the_plan() -> None:
    teacher = drawn(4, 3).requires_grad_(True)
    student = drawn(4, 3, seed=1).requires_grad_(True)
    loss = transport_cost(student, teacher, epsilon=0.1, num_iterations=20)
    own, target = torch.autograd.grad(loss, [student, teacher], allow_unused=True)
    assert target is None
    unit = torch.nn.functional.normalize(teacher.detach(), dim=1)
    cost = 1 - torch.nn.functional.normalize(student, dim=1) @ unit.T
    plan = transport_plan(cost.detach(), epsilon=0.1, num_iterations=20)
    (expected,) = torch.autograd.grad((plan * cost).sum(), student)
    assert torch.equal(own, expected)
    nearer = transport_cost(student - 0.1 * own, teacher, epsilon=0.1, num_iterations=20)
    assert nearer.item() < loss.item()
