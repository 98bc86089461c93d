"""Maps between tokens: what an attention across both texts gives, restricted and renormalised."""

import pytest
import torch

from retkd.losses.token_maps import attention_map, map_difference, map_kl, token_map

ROWS, COLUMNS = torch.tensor([[1]]), torch.tensor([[2, 3]])
HEADS = torch.tensor(
    [[[0.0] * 4, [0.5, 0.2, 0.1, 0.2], [0.0] * 4, [0.0] * 4], [[0.0] * 4, [0.1, 0.2, 0.3, 0.4], [0.0] * 4, [0.0] * 4]]
)
BOTH = torch.ones(1, 2, dtype=torch.bool)


def test_an_attention_restricted_by_hand() -> None:
    """Heads give 0.1, 0.2 and 0.3, 0.4 to the two columns: means 0.2 and 0.3, which are 0.4 and 0.6 of their sum."""
    found = attention_map(HEADS[None], ROWS, COLUMNS, BOTH).exp()
    assert found.flatten().tolist() == pytest.approx([0.4, 0.6])
    masked = attention_map(HEADS[None], ROWS, COLUMNS, torch.tensor([[False, True]])).exp()
    assert masked.flatten().tolist() == [0.0, 1.0]


def test_what_goes_to_other_tokens_and_what_is_masked_has_no_say() -> None:
    other = HEADS.clone()
    other[:, 1, :2] = torch.tensor([0.7, 0.0])
    other[:, 0] = 1.0
    assert torch.equal(*(attention_map(each[None], ROWS, COLUMNS, BOTH) for each in (HEADS, other)))
    wider = attention_map(HEADS[None], ROWS, torch.tensor([[2, 3, 0]]), torch.tensor([[True, True, False]]))
    assert wider[..., :2].exp().flatten().tolist() == pytest.approx([0.4, 0.6])
    assert wider[0, 0, 2] == -torch.inf


def test_shares_too_small_for_the_type_make_no_nan() -> None:
    found = attention_map(torch.zeros(1, 2, 4, 4), ROWS, COLUMNS, BOTH)
    assert found.exp().flatten().tolist() == pytest.approx([0.5, 0.5])
    assert map_kl(found, found, BOTH[:, :1], BOTH).item() == pytest.approx(0.0, abs=1e-6)


def test_the_difference_of_two_maps_by_hand_and_its_gradient() -> None:
    """A student that looks at both alike, [0.5, 0.5], is 2 x 0.1^2 away from [0.4, 0.6]."""
    logits = torch.zeros(1, 1, 2, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[[0.4, 0.6]]], dtype=torch.float64).log()
    row = torch.ones(1, 1, dtype=torch.bool)
    value = map_difference(logits.log_softmax(-1), target, row, BOTH)
    assert value.item() == pytest.approx(0.02)
    value.backward()
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == pytest.approx([0.1, -0.1])
    divergence = map_kl(logits.log_softmax(-1), target, row, BOTH).item()
    assert divergence == pytest.approx(
        0.4 * torch.log(torch.tensor(0.8)).item() + 0.6 * torch.log(torch.tensor(1.2)).item(), abs=1e-6
    )
    states = [torch.randn(2, n, 4, dtype=torch.float64, requires_grad=True) for n in (2, 3)]
    mask = torch.tensor([[True, True, False], [True, True, True]])
    taught = token_map(torch.randn(2, 2, 4, dtype=torch.float64), torch.randn(2, 3, 4, dtype=torch.float64), mask)
    rows = torch.tensor([[True, True], [True, False]])
    assert torch.autograd.gradcheck(lambda a, b: map_difference(token_map(a, b, mask), taught, rows, mask), states)
