from pathlib import Path

import numpy as np
import pytest

from retkd.collections.base import Collection
from retkd.miners.dense import DenseMiner
from tests.conftest import MakeInputs
from tests.tiny import tiny_encoder


def test_it_gives_the_nearest_documents_of_sentence_transformers(
    inputs: MakeInputs, collection: Collection, tmp_path: Path
) -> None:
    """Each side with its own prompt."""
    from sentence_transformers import SentenceTransformer

    folder = tiny_encoder(tmp_path / "encoder", prompts={"query": "baco lemi: ", "document": "fuga "})
    model = SentenceTransformer(str(folder), device="cpu")
    documents, queries = list(collection.documents()), collection.queries("dev")
    scores = model.encode_query([q.text for q in queries]) @ model.encode_document([d.full_text for d in documents]).T
    miner, ready = DenseMiner(model="base", depth=7), inputs(models={"base": folder})
    found = miner.mine(queries, ready, miner.prepare(ready))
    assert len(found) == len(queries)
    for ranking, row in zip(found, scores, strict=True):
        expected = np.argsort(-row, kind="stable")[:7]
        assert ranking.doc_ids == [documents[i].doc_id for i in expected]
        assert ranking.scores == pytest.approx(row[expected], abs=1e-5)
        assert ranking.sources == ["dense"] * 7


def test_a_shorter_length_cuts_queries_and_documents_and_has_vectors_of_its_own(
    inputs: MakeInputs, collection: Collection, encoder_folder: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(encoder_folder), device="cpu")
    ready, queries = inputs(models={"base": encoder_folder}), collection.queries("dev")
    documents = [d.full_text for d in collection.documents()]
    for length, most in ((None, 64), (6, 6), (1000, 64)):
        miner = DenseMiner(model="base", depth=7, max_length=length)
        model.max_seq_length = most
        scores = model.encode_query([q.text for q in queries]) @ model.encode_document(documents).T
        found = miner.mine(queries, ready, miner.prepare(ready))
        expected = -np.sort(-scores, axis=1)[:, :7]
        assert np.stack([ranking.scores for ranking in found]) == pytest.approx(expected, abs=1e-5)
    assert len(list((ready.store / "vectors").iterdir())) == 2


def test_a_depth_beyond_the_collection_gives_every_document(
    inputs: MakeInputs, collection: Collection, encoder_folder: Path
) -> None:
    miner, ready = DenseMiner(model="base", depth=1000), inputs(models={"base": encoder_folder})
    (ranking,) = miner.mine(collection.queries("dev")[:1], ready, miner.prepare(ready))
    assert sorted(ranking.doc_ids) == sorted(d.doc_id for d in collection.documents())
