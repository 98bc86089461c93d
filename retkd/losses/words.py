"""Masked words: which of a text's tokens are to be guessed, and how badly they were."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

KEPT = -1
"""In the place of a word that is not to be guessed."""


def masked(
    ids: Int[Tensor, "text token"],
    maskable: Bool[Tensor, "text token"],
    draws: Float[Tensor, "text token"],
    others: Int[Tensor, "text token"],
    *,
    mask_id: int,
    share: float,
) -> tuple[Int[Tensor, "text token"], Int[Tensor, "text token"]]:
    """(what is read, the words to guess or ``KEPT``). Devlin et al. 2019, section 3.1.

    A token is to be guessed where its draw, uniform over [0, 1), is below ``share``; of these 80 % become the mask, 10 %
    the word in ``others``, and 10 % stay.
    """
    guessed = maskable & (draws < share)
    read = ids.masked_fill(guessed & (draws < 0.8 * share), mask_id)
    read = torch.where(guessed & (draws >= 0.8 * share) & (draws < 0.9 * share), others, read)
    return read, ids.masked_fill(~guessed, KEPT)


def word_nll(
    logits: Float[Tensor, "word vocab"], words: Int[Tensor, "word"], text: Int[Tensor, "word"], num_texts: int
) -> Float[Tensor, "text"]:
    """The sum of -log softmax of each text's words, in nats; ``text`` says whose a word is. 0 for a text without any."""
    nll = torch.nn.functional.cross_entropy(logits, words, reduction="none")
    return nll.new_zeros(num_texts).index_add(0, text, nll)
