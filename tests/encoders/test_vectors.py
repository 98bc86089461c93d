"""The vectors of a collection: encoded once, whole or not there."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retkd.collections.base import Collection
from retkd.encoders import vectors
from retkd.encoders.encoder import Encoder
from retkd.encoders.vectors import DocIds, corpus_vectors
from tests.conftest import MakeInputs, opened
from tests.faults import StopError
from tests.tiny import tiny_collection, tiny_encoder

vectors_documents_per_shard = vectors.documents_per_shard


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 documents in shards of 16."""
    monkeypatch.setattr(vectors, "documents_per_shard", lambda num_documents: 16)


def encoded(inputs: MakeInputs, folder: Path, **changed: Any) -> vectors.CorpusVectors:
    ready = inputs(models={"base": folder}, **changed)
    return corpus_vectors(Encoder.load(folder), ready.models["base"], ready.collection, ready.store, ready.runtime)


def test_the_vectors_of_every_document_in_the_collections_order(
    inputs: MakeInputs, collection: Collection, encoder_folder: Path
) -> None:
    found = encoded(inputs, encoder_folder)
    documents = list(collection.documents())
    assert list(found.doc_ids) == [d.doc_id for d in documents]
    assert isinstance(found.vectors, np.memmap)
    assert found.vectors.dtype == np.float32
    expected = Encoder.load(encoder_folder).encode([d.full_text for d in documents], "document")
    assert np.allclose(found.vectors, expected, atol=1e-6)
    assert sorted(p.name for p in found.folder.rglob("*") if p.is_file()) == [
        "cut.json",
        "doc_ids.txt",
        "vectors.npy",
    ]
    assert found.truncation_rate == 0.0


def test_documents_that_were_cut_are_counted(inputs: MakeInputs, collection: Collection, tmp_path: Path) -> None:
    """At 16 tokens, over all shards, some of them are."""
    folder = tiny_encoder(tmp_path / "short", max_length=16)
    lengths = [
        len(row)
        for row in Encoder.load(folder).model.tokenizer([d.full_text for d in collection.documents()])["input_ids"]
    ]
    share = np.mean([length > 16 for length in lengths])
    assert 0 < share < 1
    assert encoded(inputs, folder).truncation_rate == pytest.approx(share)


def test_shards_are_bigger_for_a_bigger_collection() -> None:
    assert vectors_documents_per_shard(99_999) < vectors_documents_per_shard(100_000)


def test_they_are_encoded_once(inputs: MakeInputs, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = encoded(inputs, encoder_folder)
    monkeypatch.setattr(Encoder, "encode_with_cuts", None)
    again = encoded(inputs, encoder_folder, tokens_per_batch=64)
    assert again.folder == first.folder


def test_other_weights_and_another_collection_are_other_vectors(
    inputs: MakeInputs, encoder_folder: Path, tmp_path: Path
) -> None:
    first = encoded(inputs, encoder_folder)
    other = encoded(inputs, tiny_encoder(tmp_path / "other", seed=1))
    elsewhere = opened(tiny_collection(tmp_path / "collection", seed=1), tmp_path / "cache")
    another = encoded(inputs, encoder_folder, collection=elsewhere)
    assert len({first.folder, other.folder, another.folder}) == 3


@pytest.mark.parametrize("call", [1, 3])
def test_stopped_between_shards_it_goes_on_to_the_same_bytes(
    inputs: MakeInputs, encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    whole = encoded(inputs, encoder_folder, store=tmp_path / "undisturbed")
    encode, sizes = Encoder.encode_with_cuts, []

    def counted(self: Encoder, texts: Any, *args: Any) -> Any:
        sizes.append(len(texts))
        if len(sizes) == call:
            raise StopError
        return encode(self, texts, *args)

    monkeypatch.setattr(Encoder, "encode_with_cuts", counted)
    with pytest.raises(StopError):
        encoded(inputs, encoder_folder)
    found = encoded(inputs, encoder_folder)
    for name in (*vectors.FILES, "cut.json"):
        assert (found.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert sum(sizes) == 60 + 16


def test_ids_with_line_breaks_and_letters_of_all_kinds_come_back(tmp_path: Path) -> None:
    import json

    ids = ["a b", 'quo"te', "zwei\nzeilen", "\u2028", "ü"]
    (tmp_path / "ids").write_text("".join(json.dumps(i) + "\n" for i in ids))
    assert list(DocIds(tmp_path / "ids")) == ids
    assert DocIds(tmp_path / "ids")[-4:-1] == ids[1:4]
