"""Entropic optimal transport between two sets of equally weighted texts."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def transport_plan(
    cost: Float[Tensor, "one other"], *, epsilon: float, num_iterations: int
) -> Float[Tensor, "one other"]:
    """The plan of least cost minus ``epsilon`` times entropy, by ``num_iterations`` of Sinkhorn in logarithms.

    Its columns add up to 1 / other, its rows nearly to 1 / one. Cuturi 2013.
    """
    rows, columns = cost.shape
    log_kernel = -cost / epsilon
    right = torch.zeros_like(cost[0])
    for _ in range(num_iterations):
        left = -math.log(rows) - torch.logsumexp(log_kernel + right, dim=1)
        right = -math.log(columns) - torch.logsumexp(log_kernel + left.unsqueeze(1), dim=0)
    return torch.exp(log_kernel + left.unsqueeze(1) + right)


def transport_cost(
    student: Float[Tensor, "text dim"], teacher: Float[Tensor, "other dim"], *, epsilon: float, num_iterations: int
) -> Float[Tensor, ""]:
    """Sum of plan x cost, the cost being 1 - cos: near 0 only where the two sets of directions coincide, in any order.

    WCoRD's primal term (Chen et al. 2021, eq. 9). The plan is held fixed for the gradient, as at its optimum it may be; the
    target is detached. It does not tie a text to its own teacher's vector: add a term that does.
    """
    student = torch.nn.functional.normalize(student, dim=1)
    cost = 1 - student @ torch.nn.functional.normalize(teacher.detach(), dim=1).T
    plan = transport_plan(cost.detach(), epsilon=epsilon, num_iterations=num_iterations)
    return (plan * cost).sum()
