"""States that hooks read: against transformers' own, for several architectures."""

import pytest
import torch

from retkd.errors import ModelError
from retkd.layers import StackShape, stack_shape
from retkd.training.states import Reads, recorded
from tests.architectures import ARCHITECTURES, made

IDS = torch.tensor([[5, 6, 7, 8, 9], [6, 9, 10, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


@pytest.mark.parametrize("kind", sorted(ARCHITECTURES))
def test_hidden_states_are_those_of_transformers(kind: str) -> None:
    model = made(kind)
    with torch.no_grad(), recorded(model, Reads(hidden=frozenset(range(5))), MASK) as seen:
        model(input_ids=IDS, attention_mask=MASK)
    with torch.no_grad():
        expected = model(input_ids=IDS, attention_mask=MASK, output_hidden_states=True).hidden_states
    assert len(expected) == 5
    assert sorted(seen.hidden) == [0, 1, 2, 3, 4]
    for layer, states in seen.hidden.items():
        assert torch.allclose(states, expected[layer], atol=1e-6)
    assert stack_shape(model) == StackShape(4, 16)


@pytest.mark.parametrize("kind", sorted(ARCHITECTURES))
def test_queries_keys_and_values_give_the_attention(kind: str) -> None:
    """Where positions do not enter the products, softmax(Q K^T / sqrt(d)) is the attention that the slow form gives."""
    model = made(kind)
    with torch.no_grad(), recorded(model, Reads(projections=frozenset([1, 4])), MASK) as seen:
        model(input_ids=IDS, attention_mask=MASK)
    for found in (seen.queries, seen.keys, seen.values):
        assert {layer: tuple(states.shape) for layer, states in found.items()} == {1: (2, 5, 16), 4: (2, 5, 16)}
    if kind in ("bert", "xlm-roberta", "distilbert"):
        model.set_attn_implementation("eager")
        with torch.no_grad():
            expected = model(input_ids=IDS, attention_mask=MASK, output_attentions=True).attentions[3]
        queries, keys = (each[4].view(2, 5, 2, 8).transpose(1, 2) for each in (seen.queries, seen.keys))
        products = (queries @ keys.transpose(2, 3) / 8**0.5).masked_fill(MASK[:, None, None, :] == 0, -torch.inf)
        assert torch.allclose(torch.softmax(products, dim=-1), expected, atol=1e-6)


def test_after_the_block_nothing_is_recorded_and_no_hook_stays() -> None:
    model = made("bert")
    with recorded(model, Reads(frozenset([0, 2]), frozenset([1])), MASK) as seen:
        model(input_ids=IDS, attention_mask=MASK)
    before = seen.hidden[2]
    model(input_ids=IDS, attention_mask=MASK)
    assert seen.hidden[2] is before
    assert before.requires_grad
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_half_precision_is_read_in_float32() -> None:
    model = made("bert").to(torch.bfloat16)
    with torch.no_grad(), recorded(model, Reads(frozenset([0, 4]), frozenset([2])), MASK) as seen:
        model(input_ids=IDS, attention_mask=MASK)
    assert {states.dtype for states in (*seen.hidden.values(), *seen.keys.values())} == {torch.float32}


def test_a_layer_that_is_not_there() -> None:
    with pytest.raises(ModelError) as error, recorded(made("bert"), Reads(hidden=frozenset([3, 5, 6])), MASK):
        pass
    assert str(error.value) == (
        "a term reads a layer that the model does not have\n"
        "  where: BertModel\n"
        "  seen: [5, 6]\n"
        "  allowed: 0 to 4 (0: the embeddings' output)"
    )
    with (
        pytest.raises(ModelError, match="allowed: 1 to 4"),
        recorded(made("bert"), Reads(projections=frozenset([0])), MASK),
    ):
        pass


def test_a_model_without_rows_per_text() -> None:
    model = made("bert")
    refused = pytest.raises(ModelError, match="do not keep a row per text")
    with refused as error, torch.no_grad(), recorded(model, Reads(hidden=frozenset([1])), MASK):
        model(input_ids=IDS.view(1, -1), attention_mask=MASK.view(1, -1))
    assert "seen: shape (1, 10, 16) for (2, 5) tokens" in str(error.value)
