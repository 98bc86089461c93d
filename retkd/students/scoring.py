"""Scores of a dense student, as pure functions of its vectors."""

from jaxtyping import Float, Int
from torch import Tensor


def in_batch_scores(
    queries: Float[Tensor, "query dim"], documents: Float[Tensor, "doc dim"]
) -> Float[Tensor, "query doc"]:
    """Inner products of every query with every document of the batch."""
    return queries @ documents.T


def own_scores(
    in_batch: Float[Tensor, "query doc"], candidates: Int[Tensor, "query cand"]
) -> Float[Tensor, "query cand"]:
    """The scores of each query's own candidates; meaningless where the batch's mask is False."""
    return in_batch.gather(1, candidates)
