"""RankNet with weights that follow a measure: LambdaRank, LambdaLoss, lambda-MRR."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from retkd.losses.pairwise import better_pairs, logistic_pairs
from retkd.losses.plackett_luce import descending
from retkd.losses.ranks import ideal_dcg

Weighing = Literal["lambda_rank", "ndcg_loss2", "ndcg_loss2++", "reciprocal_rank"]


def lambda_loss(
    student: Float[Tensor, "query cand"],
    target: Float[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    weighing: Weighing,
    gain: Float[Tensor, "query cand"] | None = None,
    mu: float = 10.0,
) -> Float[Tensor, ""]:
    """Mean over pairs that ``target`` orders of weight x log(1 + exp(-(s_i - s_j))), in nats; ranks are the student's.

    ``lambda_rank``: |1/D_i - 1/D_j| |G_i - G_j|, D = log2(1 + rank), G = ``gain`` over the ideal DCG. ``ndcg_loss2``: the
    same with 1/D at the distance of the ranks and at one more. ``ndcg_loss2++``: ``mu`` times the second plus the first.
    ``reciprocal_rank``: |1/rank_i - 1/rank_j|, without gains (CL-DRD, Zeng et al. 2022). Wang et al. 2018, eq. 14-19;
    theirs is a sum in bits. ``gain`` must not be negative; by default 2^target - 1, meant for grades: a logit of 11
    would weigh 2,047, so give a gain where the target is a teacher's score.
    """
    ranks = _ranks(student.detach(), mask)
    gains = (torch.exp2(target.detach()) - 1 if gain is None else gain.detach()).masked_fill(~mask, 0.0)
    weights = _weights(weighing, ranks, _normalised(gains), mu)
    return logistic_pairs(student, better_pairs(target.detach(), mask), weights=weights)


def _ranks(scores: Float[Tensor, "query cand"], mask: Bool[Tensor, "query cand"]) -> Float[Tensor, "query cand"]:
    return (descending(scores, mask).argsort(dim=1) + 1).to(scores.dtype)


def _normalised(gains: Float[Tensor, "query cand"]) -> Float[Tensor, "query cand"]:
    ideal = ideal_dcg(gains).unsqueeze(1)
    return torch.where(ideal > 0, gains / ideal.clamp(min=1e-9), 0.0)


def _weights(
    weighing: Weighing, ranks: Float[Tensor, "query cand"], gains: Float[Tensor, "query cand"], mu: float
) -> Float[Tensor, "query cand cand"]:
    if weighing == "reciprocal_rank":
        return _differences(1 / ranks)
    gain = _differences(gains)
    lambda_rank = _differences(1 / torch.log2(1 + ranks)) * gain
    if weighing == "lambda_rank":
        return lambda_rank
    distance = _differences(ranks).clamp(min=1)
    ndcg_loss2 = (1 / torch.log2(1 + distance) - 1 / torch.log2(2 + distance)) * gain
    return ndcg_loss2 if weighing == "ndcg_loss2" else mu * ndcg_loss2 + lambda_rank


def _differences(values: Float[Tensor, "query cand"]) -> Float[Tensor, "query cand cand"]:
    return (values.unsqueeze(2) - values.unsqueeze(1)).abs()
