"""The stack of layers of every architecture that a student is likely to come from."""

from pathlib import Path
from typing import Any

import pytest
import torch

from retkd.errors import ModelError
from retkd.layers import layer_list
from retkd.students.initialisation import Every, keep_layers
from tests.architectures import ARCHITECTURES, made

IDS = torch.tensor([[1, 5, 6, 7, 8, 9, 10, 2]])


def states(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).last_hidden_state


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_stack_is_found(kind: str) -> None:
    model = made(kind)
    holder, name = layer_list(model)
    assert len(getattr(holder, name)) == 4


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_a_smaller_model_comes_back_from_disk(kind: str, tmp_path: Path) -> None:
    """Layers 0 and 3; those of ModernBERT look at the whole text and at a window."""
    from transformers import AutoModel

    model = made(kind)
    whole = states(model)
    assert keep_layers(model, [0, 3], "base") == [0, 3]
    expected = states(model)
    assert not torch.allclose(expected, whole, atol=1e-3)
    model.save_pretrained(tmp_path)
    assert torch.equal(states(AutoModel.from_pretrained(tmp_path).eval()), expected)


@pytest.mark.parametrize("kind", ["albert", *ARCHITECTURES])
def test_keeping_every_layer_changes_nothing(kind: str) -> None:
    """Also where one layer is applied again and again, as in ALBERT."""
    model = made(kind)
    before, config = states(model), model.config.to_dict()
    keep_layers(model, None, "base")
    assert torch.equal(states(model), before)
    assert model.config.to_dict() == config


def test_a_first_layer_unlike_the_others_cannot_be_left_out() -> None:
    with pytest.raises(ModelError) as error:
        keep_layers(made("modernbert"), Every(every=2), "models/base")
    assert str(error.value) == (
        "this architecture cannot do without its first layer: without it the student would not come back from disk\n"
        "  where: student.layers of models/base\n"
        "  seen: [1, 3] of ModernBertModel\n"
        "  allowed: layers that begin with 0\n"
        "  next step: keep layer 0, as in [0, 2, 5] or {first: n}"
    )


def test_a_model_without_a_stack() -> None:
    with pytest.raises(ModelError, match=r"no stack of layers was found in the model\n  seen: Linear"):
        layer_list(torch.nn.Linear(2, 2))


def test_a_list_of_different_modules_is_no_stack() -> None:
    mixed = torch.nn.Module()
    mixed.parts = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 2)])
    mixed.blocks = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    assert layer_list(mixed) == (mixed, "blocks")
