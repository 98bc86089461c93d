"""Vectors as an index of few bits holds them, with the gradient of the vectors themselves (straight through)."""

import torch
from jaxtyping import Float
from torch import Tensor

LEVELS = 255


def signs(vectors: Float[Tensor, "text dim"]) -> Float[Tensor, "text dim"]:
    """Each coordinate's sign over sqrt(dim): a unit vector of one bit a dimension. 0 counts as positive."""
    length = vectors.shape[1] ** -0.5
    return _straight_through(torch.where(vectors < 0, -length, length), vectors)


def eight_bits(vectors: Float[Tensor, "text dim"]) -> Float[Tensor, "text dim"]:
    """Each coordinate rounded to one of 256 values between the least and the greatest of its dimension among these texts.

    As FAISS' SQ8, whose range is that of the vectors it was trained on.
    """
    least, greatest = vectors.detach().aminmax(dim=0, keepdim=True)
    step = ((greatest - least) / LEVELS).clamp(min=1e-12)
    return _straight_through(((vectors.detach() - least) / step).round() * step + least, vectors)


def _straight_through(held: Float[Tensor, "text dim"], vectors: Float[Tensor, "text dim"]) -> Float[Tensor, "text dim"]:
    """The value of the one and the gradient of the other. Bengio et al. 2013."""
    return held.detach() + (vectors - vectors.detach())
