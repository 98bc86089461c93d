from pathlib import Path

import numpy as np
import pytest

from retkd.collections.base import Collection
from retkd.teachers.bi_encoder import BiEncoder
from tests.conftest import MakeInputs
from tests.tables import pairs
from tests.teachers.rows import two_splits
from tests.tiny import tiny_encoder


@pytest.mark.parametrize("normalised", [True, False])
def test_scores_are_inner_products_and_the_scale_says_which(
    inputs: MakeInputs, collection: Collection, tmp_path: Path, normalised: bool
) -> None:
    from sentence_transformers import SentenceTransformer

    folder = tiny_encoder(tmp_path / "encoder", prompts={"query": "find: ", "document": ""})
    model = SentenceTransformer(str(folder), device="cpu")
    if not normalised:
        model = SentenceTransformer(modules=list(model)[:-1], prompts=model.prompts, device="cpu")
        model.save_pretrained(str(folder := tmp_path / "raw"), create_model_card=False)
    splits = two_splits()
    judged = BiEncoder(model="base").judge("bi", splits, inputs(models={"base": folder}), tmp_path / "work")
    assert judged.scale == ("cosine" if normalised else "unbounded")
    for rows in splits:
        queries = {q.query_id: q.text for q in collection.queries(rows.split)}
        chosen = pairs(rows.table)
        left = model.encode_query([queries[q] for q, _ in chosen])
        right = model.encode_document([d.full_text for d in collection.documents_by_id([d for _, d in chosen])])
        assert judged.scores[rows.split] == pytest.approx(np.sum(left * right, axis=1), abs=2e-5)


def test_the_share_of_documents_that_it_cuts_is_told(
    inputs: MakeInputs, collection: Collection, tmp_path: Path
) -> None:
    """Not that of pairs: each document is read once."""
    from retkd.encoders.encoder import Encoder

    folder = tiny_encoder(tmp_path / "short", max_length=16)
    read = Encoder.load(folder).model.tokenizer([d.full_text for d in collection.documents()])["input_ids"]
    judged = BiEncoder(model="base").judge("bi", two_splits(), inputs(models={"base": folder}), tmp_path / "work")
    assert judged.truncation_rate == pytest.approx(np.mean([len(row) > 16 for row in read]))
    assert 0 < judged.truncation_rate < 1
