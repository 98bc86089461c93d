"""A text at several scales: whole, in halves, in quarters; the means of its spans."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional


def span_means(
    states: Float[Tensor, "text token width"], mask: Bool[Tensor, "text token"], num_spans: int
) -> tuple[Float[Tensor, "text span width"], Bool[Tensor, "text span"]]:
    """The mean of each of ``num_spans`` spans of a text's valid tokens, and which spans have one.

    Of n valid tokens the j-th, from 0, is in span floor(j x spans / n): spans differ by one token at most, and a text of fewer
    tokens than spans leaves some empty.
    """
    place, count = mask.cumsum(dim=1) - 1, mask.sum(dim=1, keepdim=True).clamp(min=1)
    span = (place.clamp(min=0) * num_spans) // count
    member = functional.one_hot(span, num_spans).to(states.dtype) * mask.unsqueeze(-1)
    sizes = member.sum(dim=1)
    summed = member.transpose(1, 2) @ states.masked_fill(~mask.unsqueeze(-1), 0.0)
    return summed / sizes.clamp(min=1).unsqueeze(-1), sizes > 0


def span_cosine(
    student: Float[Tensor, "text token width"],
    teacher: Float[Tensor, "text token width"],
    mask: Bool[Tensor, "text token"],
    num_spans: int,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """(sum over the spans of 1 - cosine of their means, number of spans with a token). Teacher detached."""
    own, filled = span_means(student, mask, num_spans)
    other, _ = span_means(teacher.detach(), mask, num_spans)
    distances = 1.0 - torch.cosine_similarity(own, other, dim=-1)
    return distances.masked_fill(~filled, 0.0).sum(), filled.sum().to(distances.dtype)
