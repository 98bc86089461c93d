"""How well scores rank the judged positives of a list: a measure, not a loss, so it has no gradient."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from retkd.losses.plackett_luce import descending

Quality = Literal["AP", "RR", "nDCG"]


def list_quality(
    scores: Float[Tensor, "query cand"],
    positive: Bool[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    measure: Quality,
    cutoff: int,
) -> Float[Tensor, "query"]:
    """Each list's average precision, reciprocal rank or nDCG (grades as 0 and 1) at ``cutoff``, between 0 and 1.

    A list without a positive has 0. Positives that are not in the list are not missed. Ties stand as they are.
    """
    positive = positive & mask
    order = descending(scores.detach(), mask)
    hits = positive.gather(1, order)[:, :cutoff].to(scores.dtype)
    places = torch.arange(1, hits.shape[1] + 1, device=scores.device, dtype=scores.dtype)
    if measure == "RR":
        return (hits / places).amax(dim=1)
    most = positive.sum(dim=1).clamp(max=cutoff)
    if measure == "AP":
        return (hits.cumsum(dim=1) / places * hits).sum(dim=1) / most.clamp(min=1)
    gains = 1 / torch.log2(places + 1)
    ideal = torch.where(places <= most.unsqueeze(1), gains, 0.0).sum(dim=1)
    return torch.where(most > 0, (hits * gains).sum(dim=1) / ideal.clamp(min=1e-9), 0.0)
