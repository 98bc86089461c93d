from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retkd.encoders.late_interaction_encoder import LateInteractionEncoder
from retkd.errors import ModelError
from retkd.objectives.contrastive import InfoNCE
from retkd.students.late_interaction import LateInteraction
from retkd.training.collator import Collator
from retkd.training.distillation import DistilledEncoder
from tests.distilling import examples
from tests.tiny import WORDS, tiny_encoder

QUERIES = [" ".join(WORDS[:3]), WORDS[7], "gale, lemi"]
DOCUMENTS = [" ".join(WORDS[10:30]), " ".join(WORDS[3:9]) + ", gale!", WORDS[2]]
FORMS: list[dict[str, Any]] = [
    {},
    {"dim": None},
    {"skip": [",", "!"]},
    {"query_tokens": 8, "skip": [","]},
    {"prompts": {"query": "find: ", "document": "text: "}, "max_length": 12},
]


@pytest.mark.parametrize("form", FORMS)
def test_vectors_and_scores_are_those_of_sentence_transformers(tmp_path: Path, form: dict[str, Any]) -> None:
    from sentence_transformers import MultiVectorEncoder

    torch.manual_seed(0)
    built = LateInteraction(base="b", **{"dim": 8, **form}).build(tiny_encoder(tmp_path / "base"), "cpu")
    built.model.save_pretrained(str(tmp_path / "student"), create_model_card=False)
    theirs = MultiVectorEncoder(str(tmp_path / "student"), device="cpu")
    encoder = LateInteractionEncoder.load(tmp_path / "student")
    queries, documents = encoder.represented(QUERIES, "query", 20), encoder.represented(DOCUMENTS, "document", 20)
    their_queries, their_documents = theirs.encode_query(QUERIES), theirs.encode_document(DOCUMENTS)
    for ours, peers in ((queries, their_queries), (documents, their_documents)):
        assert [len(each) for each in ours] == [len(each) for each in peers]
        assert np.allclose(ours.vectors, np.concatenate([np.asarray(each) for each in peers]), atol=1e-5)
    scores = encoder.pair_scores(queries, documents, np.array([0, 1, 2]), np.array([2, 1, 0]))
    expected = theirs.similarity(their_queries, their_documents).numpy()
    assert scores == pytest.approx([expected[0, 2], expected[1, 1], expected[2, 0]], abs=1e-4)
    if form.get("query_tokens"):
        assert set(queries.lengths) == {8}
    assert queries.vectors.shape[1] == (32 if form.get("dim", 8) is None else 8)


def test_the_projection_is_orthogonal_to_begin_with(tmp_path: Path) -> None:
    built = LateInteraction(base="b", dim=8).build(tiny_encoder(tmp_path / "base"), "cpu")
    weight = built.model[1].linear.weight
    assert torch.allclose(weight @ weight.T, torch.eye(8), atol=1e-5)


@pytest.mark.parametrize("form", FORMS[:4])
def test_a_batch_is_scored_by_maxsim_chunk_by_chunk(tmp_path: Path, form: dict[str, Any]) -> None:
    built = LateInteraction(base="b", dropout=0.0, **{"dim": 8, **form}).build(tiny_encoder(tmp_path / "base"), "cpu")
    lists = examples(6)
    batch = Collator(built)(lists)["batch"]
    model = DistilledEncoder(built, [InfoNCE(temperature=1.0)]).eval()
    scored = model.score(batch)
    assert scored.queries is None
    assert scored.documents is None
    texts = {doc_id: text for e in lists for doc_id, text in zip(e.doc_ids, e.documents, strict=True)}
    queries = built.represented([e.query for e in lists], "query")
    documents = built.represented([texts[doc_id] for doc_id in batch.doc_ids], "document")
    expected = [[(q @ d.T).max(axis=1).sum() for d in documents] for q in queries]
    assert scored.in_batch.detach().numpy() == pytest.approx(np.array(expected), abs=1e-4)
    assert torch.equal(scored.own, scored.in_batch.gather(1, batch.candidates))
    model(batch)["loss"].backward()
    assert all(p.grad is not None for name, p in built.model.named_parameters() if "linear" in name)


def test_a_late_interaction_base_keeps_its_projection(tmp_path: Path) -> None:
    first = LateInteraction(base="b", dim=8, skip=[","]).build(tiny_encoder(tmp_path / "base"), "cpu")
    first.model.save_pretrained(str(tmp_path / "first"), create_model_card=False)
    again = LateInteraction(base="b").build(tmp_path / "first", "cpu")
    assert np.allclose(
        again.represented(DOCUMENTS, "document").vectors, first.represented(DOCUMENTS, "document").vectors, atol=1e-6
    )
    with pytest.raises(ModelError, match="which has a projection and a mask of its own"):
        LateInteraction(base="b", dim=4).build(tmp_path / "first", "cpu")
