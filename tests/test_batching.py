from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retkd.batching import pad_values, padded, settle, token_batches
from tests.tiny import tiny_tokenizer


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("budget", [1, 30, 100, 10**6])
def test_batches_cover_every_text_once_longest_first_within_the_budget(seed: int, budget: int) -> None:
    lengths = np.random.default_rng(seed).integers(0, 60, 57)
    batches = list(token_batches(lengths, budget))
    order = np.concatenate(batches)
    assert np.array_equal(order, np.argsort(-lengths, kind="stable"))
    for batch, following in zip(batches, [*batches[1:], None], strict=True):
        longest = max(int(lengths[batch].max()), 1)
        assert len(batch) * longest <= budget or len(batch) == 1
        assert following is None or (len(batch) + 1) * longest > budget


def test_no_texts_make_no_batches() -> None:
    assert list(token_batches([], 100)) == []


def test_an_order_of_the_callers_is_kept() -> None:
    found = token_batches([1, 5, 5, 1], 10, order=np.array([2, 1, 3, 0]))
    assert [batch.tolist() for batch in found] == [[2, 1], [3, 0]]


def test_rows_are_padded_on_the_right_each_column_with_its_value() -> None:
    columns = {"input_ids": [[5, 6, 7], [8]], "attention_mask": [[1, 1, 1], [1]], "other": [[2, 2, 2], [2]]}
    found = padded(columns, {"input_ids": 9, "attention_mask": 0})
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        "input_ids": [[5, 6, 7], [8, 9, 9]],
        "attention_mask": [[1, 1, 1], [1, 0, 0]],
        "other": [[2, 2, 2], [2, 0, 0]],
    }
    assert {tensor.dtype for tensor in found.values()} == {torch.int64}


def test_it_pads_as_the_tokeniser_itself_does() -> None:
    tokenizer = tiny_tokenizer()
    texts = ["baco", "difun gale lemi", ""]
    ragged = tokenizer(texts)
    expected = tokenizer(texts, padding=True, return_tensors="pt")
    found = padded({name: ragged[name] for name in ragged}, pad_values(tokenizer))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_a_settled_tokeniser_is_saved_alike_whatever_it_did(tmp_path: Path) -> None:
    def saved(name: str, cut_at: int | None, **call: Any) -> str:
        tokenizer = tiny_tokenizer()
        if call:
            tokenizer("baco difun gale", **call)
        settle(tokenizer, cut_at)
        tokenizer.save_pretrained(tmp_path / name)
        return (tmp_path / name / "tokenizer.json").read_text()

    fresh = saved("fresh", 20)
    assert saved("cut", 20, truncation=True, max_length=3) == fresh
    assert saved("padded", 20, padding="max_length", max_length=9) == fresh
    assert saved("longer", 21) != fresh
    assert saved("whole", None, truncation=True, max_length=3) == saved("untouched", None)
