"""Queries that ask for the same shall score alike."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def consensus_kl(
    scores: Float[Tensor, "query doc"], same: Bool[Tensor, "query query"], *, temperature: float
) -> Float[Tensor, ""]:
    """Mean over queries of KL(mean of the others of its group || its own), distributions over all documents, in nats.

    ``same[a, b]``: the two ask for the same. A query without others counts as 0. The mean is detached. XDED, Lee et al.
    2022, whose groups are images of one class from several domains.
    """
    log_own = torch.log_softmax(scores / temperature, dim=1)
    others = (same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)).to(scores.dtype)
    count = others.sum(dim=1)
    target = (others @ log_own.detach().exp()) / count.clamp(min=1).unsqueeze(1)
    values = (torch.xlogy(target, target) - target * log_own).sum(dim=1)
    return torch.where(count > 0, values, 0.0).mean()
