"""The late-interaction miner on a tiny ColBERT, against sentence-transformers' own MaxSim."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retkd.collections.base import Collection
from retkd.encoders import vectors
from retkd.miners.late_interaction import LateInteractionMiner
from retkd.students.late_interaction import LateInteraction
from tests.conftest import MakeInputs
from tests.tiny import tiny_encoder

MINER = LateInteractionMiner(model="colbert", depth=7)


@pytest.fixture(scope="module")
def colbert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    built = LateInteraction(base="b", dim=8).build(tiny_encoder(folder / "base"), "cpu")
    built.model.save_pretrained(str(folder / "colbert"), create_model_card=False)
    return folder / "colbert"


def mined(
    inputs: MakeInputs, collection: Collection, folder: Path, miner: LateInteractionMiner = MINER, **settings: Any
) -> Any:
    ready = inputs(models={"colbert": folder}, **settings)
    return miner.mine(collection.queries("dev"), ready, miner.prepare(ready))


def exact(collection: Collection, folder: Path, max_length: int = 64) -> np.ndarray:
    """[query, document] by sentence-transformers."""
    from sentence_transformers import MultiVectorEncoder

    model = MultiVectorEncoder(str(folder), device="cpu")
    model.max_seq_length = max_length
    queries = model.encode_query([query.text for query in collection.queries("dev")])
    documents = model.encode_document([document.full_text for document in collection.documents()])
    return np.array([[float((q @ d.T).max(dim=1).values.sum()) for d in documents] for q in queries])


@pytest.mark.parametrize("memory_mib", [64, 512])
def test_it_gives_the_best_documents_of_sentence_transformers(
    inputs: MakeInputs, collection: Collection, colbert: Path, memory_mib: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 documents in four shards."""
    monkeypatch.setattr(vectors, "documents_per_shard", lambda num_documents: 16)
    ids = [document.doc_id for document in collection.documents()]
    found = mined(inputs, collection, colbert, memory_mib=memory_mib)
    assert len(found) == len(collection.queries("dev")) > 0
    for ranking, row in zip(found, exact(collection, colbert), strict=True):
        assert ranking.sources == ["late_interaction"] * 7
        assert ranking.scores == pytest.approx(-np.sort(-row)[:7], rel=1e-4)
        by_id = dict(zip(ids, row, strict=True))
        assert ranking.scores == pytest.approx([by_id[doc_id] for doc_id in ranking.doc_ids], rel=1e-4)


def test_a_shorter_length_has_vectors_of_its_own(inputs: MakeInputs, collection: Collection, colbert: Path) -> None:
    mined(inputs, collection, colbert)
    short = LateInteractionMiner(model="colbert", depth=5, max_length=6, name="short")
    found = mined(inputs, collection, colbert, short)
    expected = -np.sort(-exact(collection, colbert, 6), axis=1)[:, :5]
    assert np.stack([ranking.scores for ranking in found]) == pytest.approx(expected, rel=1e-4)
    assert found[0].sources == ["short"] * 5
