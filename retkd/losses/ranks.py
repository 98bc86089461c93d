"""Ranks as targets, and a differentiable rank of the student's scores."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Discount = Literal["log2", "reciprocal", "none"]


def mean_ranks(scores: Float[Tensor, "query cand"], mask: Bool[Tensor, "query cand"]) -> Float[Tensor, "query cand"]:
    """1-based ranks among the valid candidates, highest score first; tied ones share their mean rank.

    Meaningless where the mask is False.
    """
    valid = mask.unsqueeze(1) & mask.unsqueeze(2)
    above = ((scores.unsqueeze(1) > scores.unsqueeze(2)) & valid).sum(dim=2)
    tied = ((scores.unsqueeze(1) == scores.unsqueeze(2)) & valid).sum(dim=2)
    return above + (tied + 1) / 2


def approximate_ranks(
    scores: Float[Tensor, "query cand"], mask: Bool[Tensor, "query cand"], *, temperature: float
) -> Float[Tensor, "query cand"]:
    """1 + sum over other valid candidates of sigmoid((s_j - s_i) / temperature). Qin et al. 2010, eq. 11.

    They add up to n(n + 1)/2 for any scores; a low temperature gives the ranks. Meaningless where the mask is False.
    """
    valid = scores.masked_fill(~mask, 0.0)
    beats = torch.sigmoid((valid.unsqueeze(1) - valid.unsqueeze(2)) / temperature)
    others = mask.unsqueeze(1) & ~torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    return 1 + beats.masked_fill(~others, 0.0).sum(dim=2)


def adr_mse(
    student: Float[Tensor, "query cand"],
    teacher: Float[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    temperature: float,
    discount: Discount,
) -> Float[Tensor, ""]:
    """Mean over valid candidates of w(r) (approximate rank - r)^2, r the teacher's mean rank. Schlatt et al. 2025.

    ``w``: 1/log2(r + 1), 1/r, or 1. Only the teacher's order counts.
    """
    target = mean_ranks(teacher.detach(), mask).to(student.dtype)
    error = (approximate_ranks(student, mask, temperature=temperature) - target) ** 2
    weight = {"log2": 1 / torch.log2(target + 1), "reciprocal": 1 / target, "none": torch.ones_like(target)}[discount]
    return (error * weight)[mask].sum() / mask.sum().clamp(min=1)


def ideal_dcg(gain: Float[Tensor, "query cand"]) -> Float[Tensor, "query"]:
    """The DCG of each list in the best order of its gains. A masked candidate must have a gain of 0."""
    places = torch.arange(2, gain.shape[1] + 2, device=gain.device, dtype=gain.dtype)
    return (gain.sort(dim=1, descending=True).values / torch.log2(places)).sum(dim=1)


def approximate_ndcg(
    student: Float[Tensor, "query cand"],
    gain: Float[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    temperature: float,
) -> Float[Tensor, ""]:
    """1 - mean over queries of the nDCG at the approximate ranks of the student. Qin et al. 2010, eq. 15.

    ``gain`` is not negative; a list without a gain counts as 0 loss.
    """
    gain = gain.detach().to(student.dtype).masked_fill(~mask, 0.0)
    ranks = approximate_ranks(student, mask, temperature=temperature)
    dcg = (gain / torch.log2(ranks + 1)).masked_fill(~mask, 0.0).sum(dim=1)
    ideal = ideal_dcg(gain)
    return torch.where(ideal > 0, 1 - dcg / ideal.clamp(min=1e-9), 0.0).mean()
