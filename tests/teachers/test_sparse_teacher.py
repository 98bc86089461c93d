from pathlib import Path

import numpy as np
import pytest

from retkd.collections.base import Collection
from retkd.encoders.sparse_encoder import SparseEncoder
from retkd.teachers import sparse
from retkd.teachers.sparse import SparseTeacher
from tests.conftest import MakeInputs
from tests.tables import pairs
from tests.teachers.rows import two_splits


def test_scores_are_inner_products_of_term_weights(
    inputs: MakeInputs,
    collection: Collection,
    sparse_encoder_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where several blocks of pairs are scored; a second judgement reads the corpus from the store."""
    from sentence_transformers import SparseEncoder as Theirs

    monkeypatch.setattr(sparse, "PAIRS", 7)
    splits, ready = two_splits(), inputs(models={"splade": sparse_encoder_folder})
    teacher = SparseTeacher(model="splade")
    judged = teacher.judge("splade", splits, ready, tmp_path / "work")
    assert (judged.scale, judged.num_new) == ("unbounded", 5)
    peer = Theirs(str(sparse_encoder_folder), device="cpu")
    for rows in splits:
        queries = {q.query_id: q.text for q in collection.queries(rows.split)}
        chosen = pairs(rows.table)
        left = peer.encode_query([queries[q] for q, _ in chosen]).to_dense().numpy()
        texts = [d.full_text for d in collection.documents_by_id([d for _, d in chosen])]
        right = peer.encode_document(texts).to_dense().numpy()
        assert judged.scores[rows.split] == pytest.approx(np.sum(left * right, axis=1), rel=1e-4)
        assert judged.scores[rows.split].std() > 0
    read: list[str] = []
    encode = SparseEncoder.encode_sparse
    monkeypatch.setattr(
        SparseEncoder,
        "encode_sparse",
        lambda self, texts, side, *more: read.append(side) or encode(self, texts, side, *more),
    )
    again = teacher.judge("splade", splits, ready, tmp_path / "work")
    assert read == ["query"]
    assert all(np.array_equal(again.scores[split], judged.scores[split]) for split in judged.scores)
