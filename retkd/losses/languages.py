"""Losses of score lists whose documents, or queries, are in another language than those that the teacher has read."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from retkd.losses.listwise import divergences, masked_log_softmax

Distance = Literal["kl", "mse"]


def translate_distill(
    student: Float[Tensor, "query cand"],
    teacher: Float[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    alpha: float,
    student_temperature: float = 1.0,
    distance: Distance = "kl",
) -> Float[Tensor, ""]:
    """The distance of z = log_softmax(student / T) to g = log_softmax(alpha * teacher), in nats (kl) or squared nats (mse).

    kl: mean over queries of sum e^g (g - z). mse: mean over all valid candidates of (z - g)^2. With alpha 0 the target is
    uniform. The teacher is detached. Yang et al. 2024 (Translate-Distill) as in PLAID-X; the student's temperature is ours,
    theirs is 1.
    """
    z = masked_log_softmax(student / student_temperature, mask)
    g = masked_log_softmax(alpha * teacher.detach().masked_fill(~mask, 0.0), mask)
    if distance == "kl":
        return divergences(g, z, mask).mean()
    return ((z - g).masked_fill(~mask, 0.0) ** 2).sum() / mask.sum().clamp(min=1)


def language_consistency(
    scores: Float[Tensor, "query language cand"], mask: Bool[Tensor, "query cand"], *, temperature: float = 1.0
) -> Float[Tensor, ""]:
    """Mean over queries and pairs i != j of languages of (KL(p_i || p_j) + KL(p_j || p_i)) / 2, in nats.

    p_i is the softmax over the valid candidates of one language's scores / temperature. Zero for variants that agree up to
    a constant per list. PLAID-X counts the pairs i = j in its mean, which are zero and dilute it, and splits one softmax
    over all languages; here neither. Needs two languages or more.
    """
    logs = [masked_log_softmax(each / temperature, mask).masked_fill(~mask, 0.0) for each in scores.unbind(dim=1)]
    pairs = [(p.exp() - q.exp()) * (p - q) for place, p in enumerate(logs) for q in logs[:place]]
    return torch.stack([torch.where(mask, each, 0.0).sum(dim=1) for each in pairs]).mean() / 2
