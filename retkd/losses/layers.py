"""Losses that compare hidden states token by token, and the weights of layers."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from retkd.losses.listwise import masked_log_softmax


def token_mse(
    student: Float[Tensor, "text token width"],
    teacher: Float[Tensor, "text token width"],
    mask: Bool[Tensor, "text token"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """(sum over valid tokens of the mean squared difference over the width, number of valid tokens). Teacher detached."""
    differences = ((student - teacher.detach()) ** 2).mean(dim=-1)
    return differences.masked_fill(~mask, 0.0).sum(), mask.sum().to(differences.dtype)


def token_cosine(
    student: Float[Tensor, "text token width"],
    teacher: Float[Tensor, "text token width"],
    mask: Bool[Tensor, "text token"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """(sum over valid tokens of 1 - cosine, number of valid tokens). Teacher detached. Sanh et al. 2019, section 3."""
    cosines = torch.cosine_similarity(student, teacher.detach(), dim=-1)
    return (1.0 - cosines).masked_fill(~mask, 0.0).sum(), mask.sum().to(cosines.dtype)


def mean_over_tokens(
    states: Float[Tensor, "text token width"], mask: Bool[Tensor, "text token"]
) -> Float[Tensor, "text width"]:
    """The mean of each text's valid tokens."""
    summed = states.masked_fill(~mask.unsqueeze(-1), 0.0).sum(dim=1)
    return summed / mask.sum(dim=1, keepdim=True).clamp(min=1)


def gold_nll(
    scores: Float[Tensor, "query cand"], positive: Bool[Tensor, "query cand"], mask: Bool[Tensor, "query cand"]
) -> Float[Tensor, ""]:
    """Mean over (query, positive) of -log softmax over the valid candidates, in nats; 0 without positives."""
    positive = positive & mask
    return -masked_log_softmax(scores, mask)[positive].sum() / positive.sum().clamp(min=1)


def layer_weights(nll: Float[Tensor, "layer"], temperature: float) -> Float[Tensor, "layer"]:
    """softmax(-nll / temperature), detached: a teacher's layer that finds the positives counts for more.

    Sun et al. 2024 (LEAD), layer re-weighting.

    >>> layer_weights(torch.tensor([0.5, 1.0, 3.0]), 10.0)
    tensor([0.3663, 0.3484, 0.2853])
    """
    return torch.softmax(-nll.detach() / temperature, dim=0)
