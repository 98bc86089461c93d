"""The offset index: hashes that collide, and a file that changes under it."""

import numpy as np
import pytest

from retkd.collections import document_index
from retkd.collections.document_store import opened_store
from retkd.errors import DataError


@pytest.fixture
def passages(tmp_path):
    file = tmp_path / "collection.tsv"
    file.write_text("".join(f"{n}\tpassage {n}\n" for n in range(300)))
    return file


def test_ids_whose_hashes_are_equal_are_told_apart(passages, cache, monkeypatch):
    monkeypatch.setattr(document_index, "_hash", lambda doc_id: bytes([len(doc_id)] + 7 * [0]))
    store = opened_store(passages, "tsv", "collide", cache)
    assert [d.text for d in store.by_id(["7", "299", "42", "0"])] == [f"passage {n}" for n in (7, 299, 42, 0)]
    with pytest.raises(DataError, match="1 document id is not in the collection"):
        list(store.by_id(["777"]))


def test_membership(passages, cache):
    store = opened_store(passages, "tsv", "digest", cache)
    assert store.contains(["5", "500", "", "299"]).tolist() == [True, False, False, True]
    assert store.contains([]).tolist() == []
    assert list(store.by_id([])) == []


def test_the_index_is_small_and_mapped(passages, cache):
    store = opened_store(passages, "tsv", "digest", cache)
    assert store.num_documents == 300
    assert isinstance(np.load(store.index / "hashes.npy", mmap_mode="r"), np.memmap)
    assert sum(file.stat().st_size for file in store.index.glob("*.npy")) < 300 * 24 + 1000


def test_a_failed_build_leaves_nothing_behind(passages, cache):
    passages.write_text("1\ta\n1\tb\n")
    with pytest.raises(DataError, match="two lines have the same id"):
        opened_store(passages, "tsv", "digest", cache)
    assert list((cache / "stores").iterdir()) == []


def test_a_file_that_changed_after_indexing_is_not_trusted(passages, cache):
    store = opened_store(passages, "tsv", "digest", cache)
    passages.write_text(passages.read_text().replace("\t", " "))
    with pytest.raises(DataError, match="the file has changed since it was indexed"):
        list(store.by_id(["7"]))
