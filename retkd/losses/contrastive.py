"""Contrastive losses: against the documents of the batch, or against those of the list."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def infonce(
    scores: Float[Tensor, "query doc"],
    target: Bool[Tensor, "query doc"],
    positive: Bool[Tensor, "query doc"],
    *,
    temperature: float,
    weights: Float[Tensor, "query"] | None = None,
) -> Float[Tensor, ""]:
    """Mean over (query, target) of the cross-entropy of that document against all non-positive documents, in nats.

    ``target`` marks the positives to be learned, ``positive`` every document known to be relevant: none of these is
    ever a negative, also when another query brought it. Without targets the loss is 0. ``weights`` multiply the queries'
    values before the mean. van den Oord et al. 2018, eq. 4.
    """
    logits = scores / temperature
    negatives = torch.logsumexp(logits.masked_fill(positive | target, -torch.inf), dim=1, keepdim=True)
    own = logits[target]
    losses = torch.logaddexp(own, negatives.expand_as(logits)[target]) - own
    if weights is not None:
        losses = losses * weights.detach().unsqueeze(1).expand_as(logits)[target]
    return losses.sum() / target.sum().clamp(min=1)


def localised_contrastive(
    scores: Float[Tensor, "query cand"],
    positive: Bool[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    temperature: float,
    weights: Float[Tensor, "query"] | None = None,
) -> Float[Tensor, ""]:
    """:func:`infonce` with the list's own negatives alone. Gao et al. 2021, "Rethink Training of BERT Rerankers", eq. 4."""
    return infonce(scores, positive & mask, positive | ~mask, temperature=temperature, weights=weights)
