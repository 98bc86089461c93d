"""Losses between the similarities that two encoders find among the same texts: widths may differ, rotations do not count."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional


def gram(vectors: Float[Tensor, "text dim"]) -> Float[Tensor, "text text"]:
    """Cosines of every text with every text."""
    unit = functional.normalize(vectors, dim=1)
    return unit @ unit.T


def others(scores: Float[Tensor, "text text"]) -> Bool[Tensor, "text text"]:
    """Everything but a text's similarity with itself."""
    return ~torch.eye(scores.shape[0], dtype=torch.bool, device=scores.device)


def gram_mse(student: Float[Tensor, "text dim"], teacher: Float[Tensor, "text other"]) -> Float[Tensor, ""]:
    """Mean over pairs of different texts of the squared difference of their cosines. The target is detached.

    A single text has no pair: 0. DisWOT's relation term without its per-row norm; Park et al. 2019, RKD, on cosines.
    """
    own, target = gram(student), gram(teacher.detach())
    error = (own - target)[others(own)] ** 2
    return error.sum() / max(error.numel(), 1)
