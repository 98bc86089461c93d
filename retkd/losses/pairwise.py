"""Losses over pairs of candidates of one query."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus


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
    return _squared_margins(student, teacher, (positive & mask).unsqueeze(2) & (~positive & mask).unsqueeze(1), mask)


def all_pairs_mse(
    student: Float[Tensor, "query cand"], teacher: Float[Tensor, "query cand"], mask: Bool[Tensor, "query cand"]
) -> Float[Tensor, ""]:
    """:func:`margin_mse` over all pairs of valid candidates, needing no labels. Lupart et al. 2025 (DiSCo)."""
    first = torch.ones(mask.shape[1], mask.shape[1], dtype=torch.bool, device=mask.device).triu(1)
    return _squared_margins(student, teacher, mask.unsqueeze(2) & mask.unsqueeze(1) & first, mask)


def _squared_margins(
    student: Float[Tensor, "query cand"],
    teacher: Float[Tensor, "query cand"],
    pairs: Bool[Tensor, "query cand cand"],
    mask: Bool[Tensor, "query cand"],
) -> Float[Tensor, ""]:
    error = (student - teacher.detach()).masked_fill(~mask, 0.0)
    squares = (error.unsqueeze(2) - error.unsqueeze(1)) ** 2
    return squares[pairs].sum() / pairs.sum().clamp(min=1)


def better_pairs(
    target: Float[Tensor, "query cand"], mask: Bool[Tensor, "query cand"], *, top: int | None = None
) -> Bool[Tensor, "query cand cand"]:
    """``[q, i, j]``: both are valid and the target puts i strictly above j; with ``top``, i among its ``top`` best."""
    better = (target.unsqueeze(2) > target.unsqueeze(1)) & mask.unsqueeze(2) & mask.unsqueeze(1)
    if top is None:
        return better
    num_above = better.sum(dim=1)
    return better & (num_above < top).unsqueeze(2)


def logistic_pairs(
    scores: Float[Tensor, "query cand"],
    better: Bool[Tensor, "query cand cand"],
    *,
    weights: Float[Tensor, "query cand cand"] | None = None,
) -> Float[Tensor, ""]:
    """Mean over the marked pairs (i above j) of w_ij log(1 + exp(-(s_i - s_j))), in nats; 0 without a pair."""
    losses = softplus(-(scores.unsqueeze(2) - scores.unsqueeze(1))[better])
    if weights is not None:
        losses = losses * weights[better]
    return losses.sum() / better.sum().clamp(min=1)


def ranknet(
    student: Float[Tensor, "query cand"],
    teacher: Float[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    top: int | None = None,
) -> Float[Tensor, ""]:
    """RankNet on the teacher's order: mean over all ordered pairs of the batch, in nats; ties are no pairs.

    ``top``: only pairs whose better document is among the teacher's ``top``, so the order of the rest does not count, as
    in RankDistil (Reddi et al. 2021). Burges et al. 2005; for permutations of an LLM, Schlatt et al. 2025.
    """
    return logistic_pairs(student, better_pairs(teacher.detach(), mask, top=top))
