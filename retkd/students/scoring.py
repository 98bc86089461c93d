"""Scores of a student, as pure functions of its vectors: inner products of a text's vector, MaxSim of its tokens'."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class TokenVectors(NamedTuple):
    """One vector per token; where ``mask`` is False there is none."""

    vectors: Float[Tensor, "text token dim"]
    mask: Bool[Tensor, "text token"]


def in_batch_scores(
    queries: Float[Tensor, "query dim"], documents: Float[Tensor, "doc dim"]
) -> Float[Tensor, "query doc"]:
    """Inner products of every query with every document of the batch."""
    return queries @ documents.T


def in_batch_maxsim(queries: TokenVectors, documents: TokenVectors) -> Float[Tensor, "query doc"]:
    """MaxSim of every query with every document: the sum over the query's vectors of the greatest inner product with one
    of the document's. Khattab and Zaharia 2020 (arXiv 2004.12832), eq. 3.
    """
    products = torch.einsum("qic,djc->qdij", queries.vectors.float(), documents.vectors.float())
    best = products.masked_fill(~documents.mask[None, :, None, :], -torch.inf).amax(dim=3)
    return best.masked_fill(~queries.mask[:, None, :], 0.0).sum(dim=2)


def own_scores(
    in_batch: Float[Tensor, "query doc"], candidates: Int[Tensor, "query cand"]
) -> Float[Tensor, "query cand"]:
    """The scores of each query's own candidates; meaningless where the batch's mask is False."""
    return in_batch.gather(1, candidates)
