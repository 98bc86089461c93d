"""Mixup of vectors: two texts in one, with the same share of what the teacher says about each."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def mixed(
    vectors: Float[Tensor, "text dim"], order: Int[Tensor, "text"], share: Float[Tensor, ""]
) -> Float[Tensor, "text dim"]:
    """Unit vectors between each text's and that of its partner, ``order``: the text's own at ``share`` 1."""
    return torch.nn.functional.normalize(share * vectors + (1 - share) * vectors[order], dim=1)


def mixed_distributions(
    scores: Float[Tensor, "text other"], order: Int[Tensor, "text"], share: Float[Tensor, ""], *, temperature: float
) -> Float[Tensor, "text other"]:
    """The same shares of the softmax of both texts' scores: each row adds up to 1. Zhang et al. 2018, eq. 1; detached."""
    own = torch.softmax(scores.detach() / temperature, dim=1)
    return share * own + (1 - share) * own[order]
