"""Gradient distillation: the student's vectors shall be pulled as the teacher's would be by the same contrastive loss."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Pull(NamedTuple):
    """The gradients of a contrastive loss: ``queries [query, dim]`` and ``documents [doc, dim]``."""

    queries: Tensor
    documents: Tensor


def contrastive_pull(
    queries: Float[Tensor, "query dim"],
    documents: Float[Tensor, "doc dim"],
    target: Bool[Tensor, "query doc"],
    *,
    temperature: float,
) -> Pull:
    """The gradients of the mean over queries of -sum of y log softmax(q d / T), y being even over a query's targets.

    Written out, so that a loss of them can be differentiated once more: (p - y) d / T and (p - y)^T q / T, over the number of
    queries that have a target. A query without one pulls nothing.
    """
    counts = target.sum(dim=1, keepdim=True)
    even = target.to(queries.dtype) / counts.clamp(min=1)
    off = torch.softmax(queries @ documents.T / temperature, dim=1) - even
    off = off.masked_fill(counts == 0, 0.0) / (temperature * (counts > 0).sum().clamp(min=1))
    return Pull(off @ documents, off.T @ queries)


def pull_mse(student: Pull, teacher: Pull) -> Float[Tensor, ""]:
    """The mean square difference of the queries' gradients and that of the documents', added up. CLIP-KD, eq. 12.

    The target is detached. Gradients are small: CLIP-KD's weight is 1e8.
    """
    errors = [(own - target.detach()) ** 2 for own, target in zip(student, teacher, strict=True)]
    return errors[0].mean() + errors[1].mean()
