"""Losses over pairs of candidates of one query."""

from jaxtyping import Bool, Float
from torch import Tensor


def margin_mse(
    student: Float[Tensor, "query cand"],
    teacher: Float[Tensor, "query cand"],
    positive: Bool[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
) -> Float[Tensor, ""]:
    """Mean over valid (positive, negative) pairs of ((s_p - s_n) - (t_p - t_n))^2.

    Every pair weighs the same, so long lists weigh more. Zero iff student = teacher + a constant per query on those
    pairs. The student must be able to reach the teacher's margins: scale the cosines or use dot products. The target
    is detached; without pairs the loss is 0. Hofstaetter et al. 2020, eq. 2.
    """
    error = (student - teacher.detach()).masked_fill(~mask, 0.0)
    pairs = (positive & mask).unsqueeze(2) & (~positive & mask).unsqueeze(1)
    squares = (error.unsqueeze(2) - error.unsqueeze(1)) ** 2
    return squares[pairs].sum() / pairs.sum().clamp(min=1)
