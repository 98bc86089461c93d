"""Losses on maps between the tokens of a query and those of a document: what an attention across both would be."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from retkd.losses.listwise import divergences, masked_log_softmax


def token_map(
    rows: Float[Tensor, "pair row width"],
    columns: Float[Tensor, "pair column width"],
    column_mask: Bool[Tensor, "pair column"],
) -> Float[Tensor, "pair row column"]:
    """Log-softmax over the valid columns of rows x columns / sqrt(width); minus infinity at padding columns.

    A row's probabilities sum to 1. Rows of padding hold no meaning.
    """
    products = rows @ columns.transpose(1, 2) / rows.shape[-1] ** 0.5
    return masked_log_softmax(products, column_mask[:, None, :])


def attention_map(
    attention: Float[Tensor, "pair head token token"],
    rows: Int[Tensor, "pair row"],
    columns: Int[Tensor, "pair column"],
    column_mask: Bool[Tensor, "pair column"],
) -> Float[Tensor, "pair row column"]:
    """Log of the mean over heads of what tokens ``rows`` give to tokens ``columns``, renormalised over the valid columns.

    What a row gives to all other tokens of the pair is left out, so that its probabilities sum to 1. Shares too small for
    the type count as its smallest number.
    """
    mean = attention.mean(dim=1)
    pair = torch.arange(len(mean), device=mean.device)[:, None, None]
    shares = mean[pair, rows[:, :, None], columns[:, None, :]]
    return masked_log_softmax(shares.clamp(min=torch.finfo(shares.dtype).tiny).log(), column_mask[:, None, :])


def map_difference(
    student: Float[Tensor, "pair row column"],
    teacher: Float[Tensor, "pair row column"],
    row_mask: Bool[Tensor, "pair row"],
    column_mask: Bool[Tensor, "pair column"],
) -> Float[Tensor, "pair"]:
    """By pair, the sum over valid cells of the squared difference of two maps' probabilities. Teacher detached.

    The sum, not the mean: as SimXNS's code of LEAD has its baseline VIRT (Li et al. 2022).
    """
    valid = row_mask[:, :, None] & column_mask[:, None, :]
    return ((student.exp() - teacher.detach().exp()) ** 2).masked_fill(~valid, 0.0).sum(dim=(1, 2))


def map_kl(
    student: Float[Tensor, "pair row column"],
    teacher: Float[Tensor, "pair row column"],
    row_mask: Bool[Tensor, "pair row"],
    column_mask: Bool[Tensor, "pair column"],
) -> Float[Tensor, "pair"]:
    """By pair, the mean over valid rows of KL(teacher || student), in nats. Teacher detached. Wang et al. 2022 (DiDE)."""
    rows = divergences(teacher.detach(), student, column_mask[:, None, :]).masked_fill(~row_mask, 0.0)
    return rows.sum(dim=1) / row_mask.sum(dim=1).clamp(min=1)
