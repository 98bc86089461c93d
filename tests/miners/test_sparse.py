"""The sparse miner on a tiny SPLADE model, against sentence-transformers' own weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retkd.collections.base import Collection
from retkd.encoders import vectors
from retkd.encoders.sparse_encoder import SparseEncoder
from retkd.miners.sparse import SparseMiner
from tests.conftest import MakeInputs, files
from tests.faults import StopError
from tests.tiny import tiny_sparse_encoder

MINER = SparseMiner(model="splade", depth=7)


@pytest.fixture(scope="session")
def splade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sparse_encoder(tmp_path_factory.mktemp("models") / "splade")


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 documents in four shards."""
    monkeypatch.setattr(vectors, "documents_per_shard", lambda num_documents: 16)


def mined(inputs: MakeInputs, collection: Collection, folder: Path, miner: SparseMiner = MINER, **settings: Any):  # type: ignore[no-untyped-def]
    ready = inputs(models={"splade": folder}, **settings)
    return miner.mine(collection.queries("dev"), ready, miner.prepare(ready))


def exact(collection: Collection, folder: Path, max_length: int = 64) -> np.ndarray:
    """[query, document] by sentence-transformers."""
    from sentence_transformers import SparseEncoder as Theirs

    model = Theirs(str(folder), device="cpu")
    model.max_seq_length = max_length
    queries = model.encode_query([q.text for q in collection.queries("dev")]).to_dense()
    documents = model.encode_document([d.full_text for d in collection.documents()]).to_dense()
    assert 0.02 < (documents > 0).float().mean() < 0.5
    return (queries @ documents.T).numpy()  # type: ignore[no-any-return]


@pytest.mark.parametrize("memory_mib", [64, 512])
def test_it_gives_the_best_documents_of_sentence_transformers(
    inputs: MakeInputs, collection: Collection, splade: Path, memory_mib: int
) -> None:
    ids = [document.doc_id for document in collection.documents()]
    found = mined(inputs, collection, splade, memory_mib=memory_mib)
    for ranking, row in zip(found, exact(collection, splade), strict=True):
        expected = np.argsort(-row, kind="stable")[:7]
        assert ranking.doc_ids == [ids[i] for i in expected]
        assert ranking.scores == pytest.approx(row[expected], rel=1e-4)
        assert ranking.sources == ["sparse"] * 7


def test_documents_without_a_shared_term_are_not_found(
    inputs: MakeInputs, collection: Collection, tmp_path: Path
) -> None:
    folder = tiny_sparse_encoder(tmp_path / "few", bias=-3.5)
    from sentence_transformers import SparseEncoder as Theirs

    model = Theirs(str(folder), device="cpu")
    queries = model.encode_query([q.text for q in collection.queries("dev")]).to_dense()
    scores = (queries @ model.encode_document([d.full_text for d in collection.documents()]).to_dense().T).numpy()
    found = mined(inputs, collection, folder, SparseMiner(model="splade", depth=60))
    assert [len(ranking.doc_ids) for ranking in found] == (scores > 0).sum(axis=1).tolist()
    assert (scores == 0).any()


def test_the_models_own_number_of_active_words_counts(
    inputs: MakeInputs, collection: Collection, tmp_path: Path
) -> None:
    folder = tiny_sparse_encoder(tmp_path / "capped", max_active_dims=5)
    encoder = SparseEncoder.load(folder)
    weights, _ = encoder.encode_sparse([d.full_text for d in collection.documents()], "document")
    assert encoder.model.max_active_dims == 5
    assert weights.getnnz(axis=1).max() == 5


def test_a_shorter_length_has_weights_of_its_own(inputs: MakeInputs, collection: Collection, splade: Path) -> None:
    short = SparseMiner(model="splade", depth=5, max_length=6)
    found = mined(inputs, collection, splade, short)
    expected = -np.sort(-exact(collection, splade, 6), axis=1)[:, :5]
    assert np.stack([ranking.scores for ranking in found]) == pytest.approx(expected, rel=1e-4)


def test_stopped_between_shards_it_goes_on_to_the_same_bytes(
    inputs: MakeInputs, collection: Collection, splade: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = mined(inputs, collection, splade, store=tmp_path / "undisturbed")
    encode, sizes = SparseEncoder.encode_sparse, []

    def counted(self: SparseEncoder, texts: Any, side: Any, *args: Any) -> Any:
        if side == "document":
            sizes.append(len(texts))
            if len(sizes) == 3:
                raise StopError
        return encode(self, texts, side, *args)

    monkeypatch.setattr(SparseEncoder, "encode_sparse", counted)
    with pytest.raises(StopError):
        mined(inputs, collection, splade, store=tmp_path / "killed")
    found = mined(inputs, collection, splade, store=tmp_path / "killed")
    assert sizes == [16, 16, 16, 16, 12]
    assert files(tmp_path / "killed") == files(tmp_path / "undisturbed")
    assert len(files(tmp_path / "killed")) == 4 + 1
    assert [ranking.doc_ids for ranking in found] == [ranking.doc_ids for ranking in undisturbed]
    mined(inputs, collection, splade, store=tmp_path / "killed")
    assert len(sizes) == 5
