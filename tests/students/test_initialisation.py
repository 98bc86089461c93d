"""Which layers stay, and that what stays computes as it did inside the bigger model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from retkd.errors import ModelError
from retkd.students.initialisation import Every, First, Layers, keep_layers, kept, set_dropout
from tests.tiny import WORDS, tiny_bert


@pytest.mark.parametrize(
    ("layers", "num_layers", "expected"),
    [
        (None, 3, [0, 1, 2]),
        ("every_second", 6, [1, 3, 5]),
        ("every_second", 5, [0, 2, 4]),
        ("every_second", 1, [0]),
        (Every(every=3), 12, [2, 5, 8, 11]),
        (Every(every=4), 6, [1, 5]),
        (Every(every=9), 6, [5]),
        (First(first=2), 6, [0, 1]),
        ([0, 2, 5], 6, [0, 2, 5]),
    ],
)
def test_kept(layers: Any, num_layers: int, expected: list[int]) -> None:
    assert kept(layers, num_layers, "base") == expected


@pytest.mark.parametrize(
    ("layers", "seen"),
    [([6], "[6]"), ([2, 1], "[2, 1]"), ([1, 1], "[1, 1]"), ([], "[]"), (First(first=7), "[0, 1, 2, 3, 4, 5, 6]")],
)
def test_layers_that_cannot_be_kept(layers: Any, seen: str) -> None:
    with pytest.raises(ModelError) as error:
        kept(layers, 6, "models/base")
    assert str(error.value) == (
        "the student cannot keep these layers\n"
        "  where: student.layers of models/base\n"
        f"  seen: {seen}\n"
        "  allowed: rising indices from 0 to 5\n"
        "  next step: `every_second`, {first: n}, {every: n} with n from 2 on, or a list of indices such as [0, 2, 5], "
        "which count from 0 and are never negative"
    )


@pytest.mark.parametrize(
    "value", ["every", {"frist": 2}, {"every": 1}, {"first": 0}, [-1], 3, {"first": 1, "every": 2}]
)
def test_a_form_that_is_none_is_told_once(value: Any) -> None:
    with pytest.raises(ValidationError) as error:
        TypeAdapter(Layers).validate_python(value)
    (told,) = error.value.errors()
    assert "the layers to keep are `every_second`, {first: n}, {every: n}" in told["msg"]


def test_forms_as_they_stand_in_a_recipe() -> None:
    read = TypeAdapter(Layers).validate_python
    assert [read(v) for v in ("every_second", {"first": 2}, {"every": 3}, [1], None)] == [
        "every_second",
        First(first=2),
        Every(every=3),
        [1],
        None,
    ]


def loaded(tmp_path: Path, layers: int = 4) -> Any:
    from transformers import AutoModel

    return AutoModel.from_pretrained(tiny_bert(tmp_path / "bert", 0, layers, 32, WORDS, 64)).eval()


def test_kept_layers_compute_what_they_did_and_come_back_from_disk(tmp_path: Path) -> None:
    """Embeddings, then layers 1 and 3 of four, run one after the other by hand."""
    from transformers import AutoModel

    whole, small = loaded(tmp_path), loaded(tmp_path)
    assert keep_layers(small, [1, 3], "base") == [1, 3]
    assert small.config.num_hidden_layers == 2
    ids = torch.tensor([[2, 70, 80, 3], [2, 90, 3, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    with torch.no_grad():
        whole.encoder.layer = torch.nn.ModuleList([whole.encoder.layer[1], whole.encoder.layer[3]])
        expected = whole(input_ids=ids, attention_mask=mask).last_hidden_state
        assert torch.equal(small(input_ids=ids, attention_mask=mask).last_hidden_state, expected)
        small.save_pretrained(tmp_path / "small")
        again = AutoModel.from_pretrained(tmp_path / "small").eval()
        assert torch.equal(again(input_ids=ids, attention_mask=mask).last_hidden_state, expected)


def test_set_dropout_is_what_training_does_and_what_the_configuration_says(tmp_path: Path) -> None:
    model = loaded(tmp_path, layers=1).train()
    ids = torch.tensor([[2, 70, 80, 3]])
    torch.manual_seed(0)
    assert not torch.equal(model(input_ids=ids).last_hidden_state, model(input_ids=ids).last_hidden_state)
    set_dropout(model, 0.0)
    assert torch.equal(model(input_ids=ids).last_hidden_state, model(input_ids=ids).last_hidden_state)
    assert (model.config.hidden_dropout_prob, model.config.attention_probs_dropout_prob) == (0.0, 0.0)
