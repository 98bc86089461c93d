"""Losses on hidden states, on relations of tokens and on maps between texts: METHODS 1.3, 1.8 and part 2."""

import math

import pytest
import torch

from retkd.losses.layers import gold_nll, layer_weights, mean_over_tokens, token_cosine, token_mse
from retkd.losses.relation import gram
from retkd.losses.relations import context_kl, log_relations, neighbour_kl, profile_contrast, relation_kl
from retkd.losses.token_maps import map_difference, map_kl, token_map

MASK = torch.tensor([[True, True, True, True], [True, True, False, False]])
GENERATOR = torch.Generator().manual_seed(0)


def states(width: int = 8, seed: int = 0, texts: int = 2, tokens: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((texts, tokens, width), generator=generator, dtype=torch.float64)


def rotation(width: int, seed: int = 9) -> torch.Tensor:
    drawn = torch.randn((width, width), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.linalg.qr(drawn).Q


def garbled(tensor: torch.Tensor, mask: torch.Tensor = MASK) -> torch.Tensor:
    """Other numbers at padding."""
    return torch.where(mask.unsqueeze(-1), tensor, torch.full_like(tensor, 1e3))


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [(10.0, (0.3662963, 0.3484318, 0.2852719)), (1.0, (0.5922011, 0.3591881, 0.0486108)), (1e9, (1 / 3, 1 / 3, 1 / 3))],
)
def test_layer_weights_by_hand(temperature: float, expected: tuple[float, ...]) -> None:
    nll = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64, requires_grad=True)
    found = layer_weights(nll, temperature)
    assert found.tolist() == pytest.approx(expected, abs=1e-7)
    assert found.sum().item() == pytest.approx(1.0)
    assert not found.requires_grad
    assert torch.allclose(layer_weights(nll + 7.0, temperature), found)


def test_gold_nll_by_hand() -> None:
    """softmax(2, 1) of the first: -log(e^2 / (e^2 + e)); the second has no positive and does not count."""
    scores = torch.tensor([[2.0, 1.0, 99.0], [0.0, 1.0, 2.0]])
    positive = torch.tensor([[True, False, False], [False, False, False]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    assert gold_nll(scores, positive, mask).item() == pytest.approx(math.log(1 + math.exp(-1)), abs=1e-6)
    assert gold_nll(scores, torch.zeros_like(positive), mask).item() == 0.0


def test_token_losses_by_hand_without_padding() -> None:
    student = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [50.0, 50.0]]], requires_grad=True)
    teacher = torch.tensor([[[0.0, 1.0], [0.0, 1.0], [1.0, 1.0]]], requires_grad=True)
    mask = torch.tensor([[True, True, False]])
    total, count = token_mse(student, teacher, mask)
    assert (total.item(), count.item()) == (pytest.approx(1.0 + 0.5), 2.0)
    total, count = token_cosine(student, teacher, mask)
    assert (total.item(), count.item()) == (pytest.approx(1.0), 2.0)
    (found,) = torch.autograd.grad(total, student, retain_graph=True)
    assert (found[0, 2] == 0).all()
    assert torch.autograd.grad(total, teacher, allow_unused=True) == (None,)


def test_equal_states_cost_nothing_and_padding_counts_for_nothing() -> None:
    one, other = states(), states(seed=1)
    for loss in (token_mse, token_cosine):
        assert loss(one, one, MASK)[0].item() == pytest.approx(0.0, abs=1e-12)
        assert loss(garbled(one), garbled(other), MASK)[0].item() == pytest.approx(loss(one, other, MASK)[0].item())
    assert torch.allclose(mean_over_tokens(garbled(one), MASK)[1], one[1, :2].mean(dim=0))


def test_relations_by_hand() -> None:
    """One head, two tokens of width 1: row 0 has products (1, 2), row 1 (2, 4)."""
    found = log_relations(torch.tensor([[[1.0], [2.0]]]), torch.tensor([[True, True]]), heads=1).exp()
    rows = [[1 / (1 + math.e), math.e / (1 + math.e)], [1 / (1 + math.e**2), math.e**2 / (1 + math.e**2)]]
    assert torch.allclose(found[0, 0], torch.tensor(rows))


def test_relation_kl_needs_no_equal_width_and_no_common_basis() -> None:
    """METHODS, MiniLMv2: equal states cost nothing; a rotation inside each relation head changes nothing."""
    student, teacher = states(8), states(12, seed=1)
    assert relation_kl(student, student, MASK, heads=2).abs().max().item() == pytest.approx(0.0, abs=1e-12)
    expected = relation_kl(student, teacher, MASK, heads=2)
    assert (expected > 0).all()
    turned = (student.view(2, 4, 2, 4) @ rotation(4)).reshape(2, 4, 8)
    assert torch.allclose(relation_kl(turned, teacher, MASK, heads=2), expected)
    assert not torch.allclose(relation_kl(student @ rotation(8), teacher, MASK, heads=2), expected)
    assert torch.allclose(relation_kl(garbled(student), garbled(teacher), MASK, heads=2), expected)


def test_relation_kl_is_the_mean_over_heads_and_valid_rows() -> None:
    """By another way: the rows of the short text, one after the other."""
    student, teacher = states(8)[1:, :2], states(8, seed=1)[1:, :2]
    total = 0.0
    for head in range(2):
        own, other = (each[0, :, 4 * head : 4 * head + 4] for each in (student, teacher))
        p, q = (torch.softmax(each @ each.T / 2.0, dim=1) for each in (other, own))
        total += (p * (p / q).log()).sum().item()
    found = relation_kl(states(8), states(8, seed=1), MASK, heads=2)[1]
    assert found.item() == pytest.approx(total / (2 * 2))


def test_gradients_of_relations_and_maps() -> None:
    teacher = states(4, seed=1)
    student = states(4).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: relation_kl(x, teacher, MASK, heads=2).sum(), student)

    def both(x: torch.Tensor) -> torch.Tensor:
        maps = token_map(x, x, MASK), token_map(teacher, teacher, MASK)
        return (map_difference(*maps, MASK, MASK) + map_kl(*maps, MASK, MASK)).sum()

    assert torch.autograd.gradcheck(both, student)


def test_a_map_has_rows_that_sum_to_one_and_nothing_at_padding() -> None:
    found = token_map(states(), states(seed=2), MASK).exp()
    assert torch.allclose(found.sum(dim=-1), torch.ones(2, 4, dtype=torch.float64))
    assert (found[1, :, 2:] == 0).all()


@pytest.mark.parametrize("loss", [map_difference, map_kl])
def test_maps_that_are_compared(loss: object) -> None:
    """METHODS 1.8: 0 for equal maps; a constant on a row of logits, and one order of tokens in both, change nothing."""
    own, other = token_map(states(), states(seed=2), MASK), token_map(states(seed=3), states(seed=4), MASK)
    assert loss(own, own, MASK, MASK).abs().max().item() == pytest.approx(0.0, abs=1e-12)  # type: ignore[operator]
    expected = loss(own, other, MASK, MASK)  # type: ignore[operator]
    assert (expected > 0).all()
    shifted = torch.log_softmax(own + torch.randn((2, 4, 1), generator=GENERATOR, dtype=torch.float64), dim=-1)
    assert torch.allclose(loss(shifted, other, MASK, MASK), expected)  # type: ignore[operator]
    order = torch.tensor([2, 0, 3, 1])
    permuted = [each[:1][:, :, order] for each in (own, other)]
    assert torch.allclose(loss(*permuted, MASK[:1], MASK[:1]), expected[:1])  # type: ignore[operator]


def test_map_difference_by_hand() -> None:
    """One valid row: (0.75, 0.25) and (0.5, 0.5) differ by 2 x 0.25^2; the row of padding counts for nothing."""
    own, other = torch.tensor([[[0.75, 0.25], [1.0, 0.0]]]).log(), torch.tensor([[[0.5, 0.5], [0.0, 1.0]]]).log()
    masks = torch.tensor([[True, False]]), torch.tensor([[True, True]])
    assert map_difference(own, other, *masks).item() == pytest.approx(0.125)
    kl_by_hand = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert map_kl(own, other, *masks).item() == pytest.approx(kl_by_hand)


TEXT_OF = torch.tensor([0, 0, 0, 1, 1, 2])


def relation_losses(student: torch.Tensor, teacher: torch.Tensor, text_of: torch.Tensor = TEXT_OF) -> list[float]:
    own, other = gram(student), gram(teacher)
    return [
        neighbour_kl(own, other, neighbours=3, temperature=0.5).item(),
        profile_contrast(own, other, temperature=0.5).item(),
        context_kl(own, other, text_of, temperature=0.5).item(),
    ]


def test_a_graph_of_tokens_is_blind_to_rotation_and_to_order() -> None:
    student, teacher = states(8, texts=1, tokens=6)[0], states(5, seed=1, texts=1, tokens=6)[0]
    expected = relation_losses(student, teacher)
    assert relation_losses(student @ rotation(8), teacher @ rotation(5)) == pytest.approx(expected)
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    assert relation_losses(student[order], teacher[order], TEXT_OF[order]) == pytest.approx(expected)
    near, contrast, context = relation_losses(teacher, teacher)
    assert (near, context) == (pytest.approx(0.0, abs=1e-12), pytest.approx(0.0, abs=1e-12))
    assert contrast < expected[1]


def test_context_leaves_out_tokens_without_others() -> None:
    own, other = gram(states(4, texts=1, tokens=3)[0]), gram(states(4, seed=1, texts=1, tokens=3)[0])
    assert context_kl(own, other, torch.tensor([0, 1, 2]), temperature=1.0).item() == 0.0
    assert context_kl(own, other, torch.tensor([0, 0, 1]), temperature=1.0).item() == pytest.approx(0.0, abs=1e-12)
    assert context_kl(own, other, torch.tensor([0, 0, 0]), temperature=1.0).item() > 0
