"""A lower bound of the mutual information between paired vectors, from the scores of every pair."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def information_loss(scores: Float[Tensor, "text text"], *, alpha: float = 1.0) -> Float[Tensor, ""]:
    """Minus the bound I_alpha, in nats. ``scores[i, j]``: the critic of vector i with its partner's j; i = j belong together.

    I_alpha = 1 + mean over j of (scores[j, j] - log q_j) - mean over i != j of exp(scores[i, j]) / r_j, where
    q_j = alpha mean_i exp(scores[i, j]) + (1 - alpha) e, and r_j is the same without i = j, so that it is independent of j.

    ``alpha`` = 1: InfoNCE, cross-entropy - log n, at least -log n. 0: the bound of Nguyen, Wainwright and Jordan, unbiased
    and of high variance. Poole et al. 2019, eq. 12, as Distiller (He et al. 2021) uses it; contrastive representation
    distillation (Tian et al. 2020) is alpha = 1 with the batch for its memory. One text has nothing to be told from: 0.
    """
    num_texts = scores.shape[0]
    if num_texts < 2:
        return 0 * scores.sum()
    own = torch.eye(num_texts, dtype=torch.bool, device=scores.device)
    log_q = _mixed(torch.logsumexp(scores, dim=0) - math.log(num_texts), alpha)
    others = scores.masked_fill(own, -torch.inf)
    log_r = _mixed(torch.logsumexp(others, dim=0) - math.log(num_texts - 1), alpha)
    return (log_q - scores.diagonal()).mean() - 1 + (scores - log_r)[~own].exp().mean()


def _mixed(log_mean: Float[Tensor, "text"], alpha: float) -> Float[Tensor, "text"]:
    """log(alpha exp(log_mean) + (1 - alpha) e)."""
    if alpha == 1.0:
        return log_mean
    constant = torch.full_like(log_mean, 1.0 + math.log1p(-alpha))
    return torch.logaddexp(log_mean + math.log(alpha), constant) if alpha > 0 else constant
