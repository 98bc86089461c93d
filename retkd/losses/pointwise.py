"""Losses of single pairs: labels and a teacher's scores, one by one."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Mapping = Literal["clip", "shift", "sigmoid", "as_is"]


def labels_and_scores(
    student: Float[Tensor, "query cand"],
    teacher: Float[Tensor, "query cand"],
    positive: Bool[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    alpha: float,
) -> Float[Tensor, ""]:
    """Sum over valid pairs of alpha x BCE(student, label) + (1 - alpha) x w (student - teacher)^2, divided by the queries.

    With r negatives to a positive among the valid pairs of the batch, BCE weighs a positive r times, and w is 1 on positives
    and 1 / (r + 1) on negatives. Where the pairs are all B^2 of a batch with one positive each these are the weights of
    Tahami et al. 2020 (pos_weight B - 1; B and 1, over B); there the sum is not divided. The target is detached.
    """
    labels, own = (positive & mask)[mask], student[mask]
    ratio = (~labels).sum() / labels.sum().clamp(min=1)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        own, labels.to(own.dtype), pos_weight=ratio.to(own.dtype), reduction="sum"
    )
    weight = torch.where(labels, 1.0, 1.0 / (ratio + 1.0))
    error = (weight * (own - teacher.detach()[mask]) ** 2).sum()
    return (alpha * entropy + (1 - alpha) * error) / mask.shape[0]


def unit_interval(scores: Float[Tensor, "query cand"], mapping: Mapping) -> Float[Tensor, "query cand"]:
    """Scores as numbers between 0 and 1: a cosine clipped at 0 or as (cos + 1) / 2, a logit's sigmoid, or as they are."""
    if mapping == "clip":
        return scores.clamp(0.0, 1.0)
    if mapping == "shift":
        return (scores + 1) / 2
    return torch.sigmoid(scores) if mapping == "sigmoid" else scores


def soft_labels(
    logits: Float[Tensor, "query cand"], target: Float[Tensor, "query cand"], mask: Bool[Tensor, "query cand"]
) -> Float[Tensor, ""]:
    """Mean over valid pairs of the binary cross-entropy of sigmoid(logits) and a target between 0 and 1, in nats.

    Its gradient in a logit is (sigmoid(logit) - target) over their number. The target is detached. Liu et al. 2022
    (Trans-Encoder), for the cross-encoder.
    """
    return torch.nn.functional.binary_cross_entropy_with_logits(logits[mask], target.detach()[mask])


def squared_errors(
    student: Float[Tensor, "query cand"], target: Float[Tensor, "query cand"], mask: Bool[Tensor, "query cand"]
) -> Float[Tensor, ""]:
    """Mean over valid pairs of (student - target)^2. The target is detached. Liu et al. 2022 (Trans-Encoder), for the
    bi-encoder."""
    return ((student - target.detach())[mask] ** 2).mean()
