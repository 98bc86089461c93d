"""The stage `index` on a tiny encoder and collection."""

import json

import numpy as np
import pytest

from retkd.errors import ModelError, WorkspaceError
from retkd.indexing.search import open_index
from retkd.stages import index
from tests.tiny import tiny_encoder, tiny_inputs

PQ = {"kind": "faiss", "factory": "IVF4,PQ4x4np", "search": {"nprobe": 4}}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("index")
    return tiny_inputs(root, {"student": tiny_encoder(root / "student")})


def run(inputs, out, recipe, dim=None):
    out.mkdir(exist_ok=True)
    return index.run(index.Config(model="student", recipe=recipe, dim=dim), inputs, out)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("recipe", ["flat", "exact", "hnsw", "ivf", "sq8", PQ])
def test_it_publishes_a_searchable_index_with_the_same_bytes_each_time(inputs, tmp_path, recipe):
    metrics = run(inputs, tmp_path / "one", recipe)
    again = run(inputs, tmp_path / "two", recipe)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert metrics.values == again.values
    assert metrics.rows_out == inputs.collection.num_documents == 60
    assert metrics.values["recall@10"] >= (0.2 if recipe == PQ else 0.9)
    found = open_index(tmp_path / "one")
    scores, doc_ids = found.search(np.asarray(found.vectors[:5]), 7)
    assert (scores.shape, scores.dtype) == ((5, 7), np.float32)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert [len(ids) for ids in doc_ids] == [7] * 5
    if recipe != PQ:
        assert [ids[0] for ids in doc_ids] == found.doc_ids[:5] == ["d0", "d1", "d2", "d3", "d4"]


def test_exact_kinds_have_full_recall_and_the_vectors_are_shared_with_the_store(inputs, tmp_path):
    assert run(inputs, tmp_path / "flat", "flat").values["recall@10"] == 1.0
    assert run(inputs, tmp_path / "exact", "exact").values["recall@10"] == 1.0
    assert not (tmp_path / "exact" / "index.faiss").exists()
    assert (tmp_path / "flat" / "vectors.npy").stat().st_ino == (tmp_path / "exact" / "vectors.npy").stat().st_ino


def test_index_json_says_what_was_built(inputs, tmp_path):
    metrics = run(inputs, tmp_path / "ivf", "ivf")
    told = json.loads((tmp_path / "ivf" / "index.json").read_text())
    assert told["recipe"]["factory"] == "IVF{nlist},Flat"
    assert told["resolved"]["factory"] == metrics.values["index"] == "IVF1,Flat"
    assert (told["num_vectors"], told["dim"], told["similarity"]) == (60, 32, "inner_product")
    assert told["model_digest"] == inputs.models["student"].digest
    assert metrics.values["sizes"]["index_bytes"] > 60 * 32 * 4
    assert set(metrics.timings) == {"encode_seconds", "build_seconds", "recall_seconds"}


def test_k_is_cut_and_no_queries_give_no_lists(inputs, tmp_path):
    run(inputs, tmp_path, "flat")
    found = open_index(tmp_path)
    scores, doc_ids = found.search(np.asarray(found.vectors[:1]), 1000)
    assert scores.shape == (1, 60)
    assert sorted(doc_ids[0]) == sorted(found.doc_ids)
    assert found.search(np.zeros((0, 32), dtype=np.float32), 5) == (pytest.approx(np.zeros((0, 5))), [])


def test_an_approximate_index_may_find_fewer(inputs, tmp_path):
    run(inputs, tmp_path, {"kind": "faiss", "factory": "IVF4,Flat", "search": {"nprobe": 1}})
    found = open_index(tmp_path)
    scores, doc_ids = found.search(np.asarray(found.vectors[:1]), 60)
    assert 0 < len(doc_ids[0]) < 60
    assert np.isfinite(scores[0, : len(doc_ids[0])]).all()
    assert np.isneginf(scores[0, len(doc_ids[0]) :]).all()


def test_a_folder_without_an_index_and_queries_of_another_width_are_refused(inputs, tmp_path):
    with pytest.raises(WorkspaceError, match="this folder holds no index"):
        open_index(tmp_path)
    run(inputs, tmp_path, "flat")
    with pytest.raises(ModelError) as error:
        open_index(tmp_path).search(np.zeros((2, 31), dtype=np.float32), 5)
    assert "seen: shape (2, 31)" in str(error.value)
    assert "allowed: [query, 32]" in str(error.value)


@pytest.mark.parametrize("recipe", ["flat", "exact", "sq8"])
def test_a_cut_index_holds_and_searches_the_first_coordinates(inputs, tmp_path, recipe):
    """Whole query vectors are cut as the documents were; vectors of another width are still refused."""
    run(inputs, tmp_path / "whole", "flat")
    whole = np.asarray(open_index(tmp_path / "whole").vectors)
    metrics = run(inputs, tmp_path / "cut", recipe, dim=8)
    run(inputs, tmp_path / "again", recipe, dim=8)
    assert contents(tmp_path / "cut") == contents(tmp_path / "again")
    found = open_index(tmp_path / "cut")
    expected = whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True)
    assert np.allclose(found.vectors, expected, atol=1e-6)
    assert (found.told["dim"], found.told["full_dim"], metrics.values["dim"]) == (8, 32, 8)
    if recipe != "sq8":
        scores, doc_ids = found.search(whole[:4], 60)
        assert np.allclose(scores, -np.sort(-(expected[:4] @ expected.T), axis=1), atol=1e-5)
        assert doc_ids == found.search(expected[:4], 60)[1]
    with pytest.raises(ModelError, match=r"shape \(2, 31\)"):
        found.search(np.zeros((2, 31), dtype=np.float32), 5)


def test_an_index_cannot_be_wider_than_its_vectors(inputs, tmp_path):
    with pytest.raises(ModelError, match="more coordinates than they have\n  where: stage index, dim\n  seen: 33"):
        run(inputs, tmp_path, "flat", dim=33)


def test_an_index_of_bits_is_small_and_the_same_each_time(inputs, tmp_path):
    """Thirty-two coordinates in four bytes, and two numbers; the nearest is still found among the first ten."""
    metrics = run(inputs, tmp_path / "one", "rabitq")
    run(inputs, tmp_path / "two", "rabitq")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert metrics.values["sizes"]["index_bytes"] < 60 * 32 * 4 / 3
    found = open_index(tmp_path / "one")
    _, doc_ids = found.search(np.asarray(found.vectors), 10)
    assert np.mean([own in ids for own, ids in zip(found.doc_ids, doc_ids, strict=True)]) > 0.9
