"""Losses that compare two score lists of one query."""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Direction = Literal["forward", "reverse", "jensen_shannon"]
Reduction = Literal["queries", "candidates"]


def masked_log_softmax(
    scores: Float[Tensor, "*list cand"], mask: Bool[Tensor, "*#list cand"]
) -> Float[Tensor, "*list cand"]:
    """Log-softmax over the valid candidates; minus infinity elsewhere. A list needs at least one valid candidate."""
    return torch.log_softmax(scores.masked_fill(~mask, -torch.inf), dim=-1)


def kl(
    student: Float[Tensor, "query cand"],
    teacher: Float[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    student_temperature: float,
    teacher_temperature: float,
    direction: Direction = "forward",
    reduction: Reduction = "queries",
    weights: Float[Tensor, "query"] | None = None,
    detach: bool = True,
) -> Float[Tensor, ""]:
    """Mean over queries of KL(softmax(teacher / T_t) || softmax(student / T_s)), in nats, over valid candidates.

    ``direction``: forward, as written; reverse, KL(student || teacher), which gives up the teacher's unlikely candidates
    rather than cover them; jensen_shannon, the mean KL of both to their middle, at most log 2.

    Two temperatures because the scales differ: a cross-encoder's logits span tens, cosines span two. There is no T^2:
    it restores the gradient's size only where both temperatures are one; use the objective's weight. The target is
    detached, unless told not to: a teacher that is trained beside the student may be drawn to it (LEAD). A list of one
    candidate has no gradient. Hinton et al. 2015, eq. 1-4, on lists. The cross-entropy of ListNet (Cao et al. 2007) is the
    forward KL plus the teacher's entropy: the gradient is the same.

    ``reduction``: candidates divides the sum by the number of valid candidates, as RocketQAv2 does (Ren et al. 2021).
    ``weights`` multiply the queries' values before the mean.
    """
    target = masked_log_softmax((teacher.detach() if detach else teacher) / teacher_temperature, mask)
    values = divergences(target, masked_log_softmax(student / student_temperature, mask), mask, direction)
    if weights is not None:
        values = values * weights.detach()
    return values.mean() if reduction == "queries" else values.sum() / mask.sum().clamp(min=1)


def divergences(
    log_p: Float[Tensor, "*list cand"],
    log_q: Float[Tensor, "*list cand"],
    mask: Bool[Tensor, "*#list cand"],
    direction: Direction = "forward",
) -> Float[Tensor, "*list"]:
    """Each list's divergence of two log-distributions over its valid candidates, in nats. Neither is detached here.

    Lists of anything: candidates of a query, tokens of a text. What stands outside the mask has no say and no gradient.
    """
    if direction == "forward":
        return _relative_entropy(log_p, log_q, mask)
    if direction == "reverse":
        return _relative_entropy(log_q, log_p, mask)
    middle = torch.logaddexp(log_p, log_q.masked_fill(~mask, 0.0)) - math.log(2)
    return (_relative_entropy(log_p, middle, mask) + _relative_entropy(log_q, middle, mask)) / 2


def _relative_entropy(
    log_p: Float[Tensor, "*list cand"], log_q: Float[Tensor, "*list cand"], mask: Bool[Tensor, "*#list cand"]
) -> Float[Tensor, "*list"]:
    """Sum of p (log p - log q) over the valid candidates."""
    log_p, log_q = log_p.masked_fill(~mask, 0.0), log_q.masked_fill(~mask, 0.0)
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


def soft_cross_entropy(
    student: Float[Tensor, "query cand"],
    weights: Float[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    student_temperature: float,
) -> Float[Tensor, ""]:
    """Mean over queries of -sum of weight * log softmax(student / T), in nats, over valid candidates.

    Linear in the weights, which are detached: where their mean over draws is a distribution p, the mean of loss and gradient
    are those of p. With p itself it is KL(p || student) plus p's entropy. Hinton et al. 2015, eq. 2, on lists.
    """
    log_student = masked_log_softmax(student / student_temperature, mask).masked_fill(~mask, 0.0)
    return -(weights.detach().masked_fill(~mask, 0.0) * log_student).sum(dim=1).mean()


def standardised(scores: Float[Tensor, "query cand"], mask: Bool[Tensor, "query cand"]) -> Float[Tensor, "query cand"]:
    """Each list at mean 0 and (population) standard deviation 1 over its valid candidates; a constant list becomes 0."""
    count = mask.sum(dim=1, keepdim=True).clamp(min=1)
    valid = scores.masked_fill(~mask, 0.0)
    centred = (valid - valid.sum(dim=1, keepdim=True) / count).masked_fill(~mask, 0.0)
    variance = (centred**2).sum(dim=1, keepdim=True) / count
    return torch.where(variance > 1e-12, centred / variance.clamp(min=1e-12).sqrt(), 0.0)
