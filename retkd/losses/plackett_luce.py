"""One Plackett-Luce kernel, and the published losses that are it with other orders, weights and denominators."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def plackett_luce(
    scores: Float[Tensor, "query cand"],
    order: Int[Tensor, "query cand"],
    weights: Float[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    extra: Float[Tensor, "query doc"] | None = None,
) -> Float[Tensor, "query"]:
    """Per query, -sum_k w_k (s_{o_k} - log sum_{j >= k} exp s_{o_j}), in nats: k-th place against all that come later.

    ``order`` is a permutation of the candidates; ``weights`` and the k-th place count along it. A weight of 0 ends or
    skips; masked candidates have none, wherever the order puts them. ``extra`` are scores of more documents in every
    denominator, minus infinity where there is none. Not detached: the caller owns the target. Plackett 1975; Cao et
    al. 2007.
    """
    valid = mask.gather(1, order)
    # Not minus infinity: the derivative of logcumsumexp is not a number where a list ends with it.
    ordered = scores.gather(1, order).masked_fill(~valid, torch.finfo(scores.dtype).min / 2)
    later = ordered.flip(1).logcumsumexp(1).flip(1)
    if extra is not None:
        later = torch.logaddexp(later, torch.logsumexp(extra, dim=1, keepdim=True))
    steps = torch.where(valid, (later - ordered) * weights, torch.zeros_like(ordered))
    return steps.sum(dim=1)


def descending(scores: Float[Tensor, "query cand"], mask: Bool[Tensor, "query cand"]) -> Int[Tensor, "query cand"]:
    """Positions of the candidates from the highest score down, ties as they stand, masked ones last."""
    return scores.masked_fill(~mask, -torch.inf).argsort(dim=1, descending=True, stable=True)


def list_mle(
    student: Float[Tensor, "query cand"],
    teacher: Float[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    position_aware: bool = False,
) -> Float[Tensor, ""]:
    """Mean over queries of the negative log-likelihood of the teacher's order, in nats. Xia et al. 2008.

    ``position_aware``: step k of n weighs 2^(n - k) - 1, here over 2^n, which no float could hold, and brought to sum 1.
    Lan et al. 2014, eq. 6, without those divisions. Only the teacher's order counts.
    """
    order = descending(teacher.detach(), mask)
    weights = mask.gather(1, order).to(student.dtype)
    if position_aware:
        step = torch.arange(1, mask.shape[1] + 1, device=mask.device, dtype=student.dtype)
        weights = weights * (torch.exp2(-step) - torch.exp2(-mask.sum(dim=1, keepdim=True).to(student.dtype)))
        weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-9)
    return plackett_luce(student, order, weights, mask).mean()


def pld(
    student: Float[Tensor, "query cand"],
    teacher: Float[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    teacher_temperature: float,
    positive: Bool[Tensor, "query cand"] | None = None,
) -> Float[Tensor, ""]:
    """Plackett-Luce distillation: step k weighs the teacher's probability of what stands there. Mean, in nats.

    With ``positive``, judged positives come first, as in PLD (arXiv 2506.12542, eq. 9); without, the teacher's order is
    all. A teacher whose logits span tens makes it a cross-entropy: raise its temperature or standardise its lists.
    """
    teacher = teacher.detach()
    order = descending(teacher, mask)
    if positive is not None:
        first = (positive & mask).gather(1, order).int().argsort(dim=1, descending=True, stable=True)
        order = order.gather(1, first)
    weights = _probabilities(teacher / teacher_temperature, mask).gather(1, order)
    return plackett_luce(student, order, weights, mask).mean()


def partial_ranking(
    student: Float[Tensor, "query cand"],
    teacher: Float[Tensor, "query cand"],
    valid: Bool[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
) -> Float[Tensor, ""]:
    """Contrastive partial ranking distillation: the teacher's order of the hard candidates, down to the first that is
    not ``valid``; what comes below stands in denominators only. Mean over queries, in nats; 0 where none is valid.

    ``mask`` leaves the positives out when the contrastive term handles them. arXiv 2407.07479.
    """
    order = descending(teacher.detach(), mask)
    weights = (valid & mask).gather(1, order).to(student.dtype).cumprod(dim=1)
    return plackett_luce(student, order, weights, mask).mean()


def weighted_contrastive(
    student: Float[Tensor, "query cand"],
    teacher: Float[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    teacher_temperature: float,
    extra: Float[Tensor, "query doc"] | None = None,
) -> Float[Tensor, ""]:
    """BGE's m3 distillation loss: in the order of the list, each candidate against those after it and all of ``extra``,
    weighed by the teacher's probability. Mean, in nats. Chen et al. 2024 (code: FlagEmbedding ``m3_kd_loss``).

    The order of the list counts, so a list must come in one that means something; ours come by rank.
    """
    order = torch.arange(mask.shape[1], device=mask.device).expand(mask.shape)
    weights = _probabilities(teacher.detach() / teacher_temperature, mask)
    return plackett_luce(student, order, weights, mask, extra=extra).mean()


def _probabilities(
    logits: Float[Tensor, "query cand"], mask: Bool[Tensor, "query cand"]
) -> Float[Tensor, "query cand"]:
    return torch.softmax(logits.masked_fill(~mask, -torch.inf), dim=1)
