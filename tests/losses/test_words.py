import math

import pytest
import torch

from retkd.losses.words import KEPT, masked, word_nll

IDS = torch.tensor([[5, 6, 7, 8, 9], [5, 6, 0, 0, 0]])
OTHERS = torch.full((2, 5), 3)


def test_what_is_masked_by_hand() -> None:
    """Of a share of 0.5: below 0.4 the mask, below 0.45 another word, below 0.5 the word itself; 5 may not be masked."""
    draws = torch.tensor([[0.1, 0.39, 0.41, 0.46, 0.5], [0.0, 0.9, 0.0, 0.0, 0.0]])
    maskable = torch.tensor([[False, True, True, True, True], [False, True, False, False, False]])
    read, wanted = masked(IDS, maskable, draws, OTHERS, mask_id=4, share=0.5)
    assert read.tolist() == [[5, 4, 3, 8, 9], [5, 6, 0, 0, 0]]
    assert wanted.tolist() == [[KEPT, 6, 7, 8, KEPT], [KEPT] * 5]


def test_shares_of_many_draws() -> None:
    """15 % are to be guessed: 80 % of these are the mask, 10 % another word, 10 % themselves."""
    ids = torch.full((100, 1000), 9)
    draws = torch.rand(ids.shape, generator=torch.Generator().manual_seed(0))
    maskable = torch.ones_like(ids, dtype=torch.bool)
    read, wanted = masked(ids, maskable, draws, torch.full_like(ids, 3), mask_id=4, share=0.15)
    assert (wanted == 9).float().mean().item() == pytest.approx(0.15, abs=0.003)
    shares = [(read[wanted == 9] == word).float().mean().item() for word in (4, 3, 9)]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.01)
    assert (read[wanted == KEPT] == 9).all()


def test_loss_by_hand() -> None:
    """Four equal logits: ln 4 a word. The second text has no word, the third one whose share is 3/4."""
    logits = torch.zeros(3, 4)
    logits[2, 1] = math.log(9)
    found = word_nll(logits, torch.tensor([0, 3, 1]), torch.tensor([0, 0, 2]), 3)
    assert found.tolist() == pytest.approx([2 * math.log(4), 0.0, math.log(4 / 3)])


def test_gradient() -> None:
    logits = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    words, text = torch.tensor([0, 4, 2, 2]), torch.tensor([0, 1, 1, 2])
    assert torch.autograd.gradcheck(lambda x: word_nll(x, words, text, 3), logits)


def test_no_word_at_all_is_zero_with_a_gradient() -> None:
    logits = torch.zeros(0, 4, requires_grad=True)
    nothing = torch.zeros(0, dtype=torch.int64)
    found = word_nll(logits, nothing, nothing, 2)
    found.sum().backward()
    assert found.tolist() == [0.0, 0.0]
    assert logits.grad is not None
