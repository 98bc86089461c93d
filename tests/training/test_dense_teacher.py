"""An encoder as teacher of whole batches: a score for every query with every document, found by id."""

from pathlib import Path

import numpy as np
import pytest
import torch

from retkd.encoders.encoder import Encoder
from retkd.objectives.in_batch_kl import InBatchKL
from retkd.training.collator import Collator
from retkd.training.dense_teacher import dense_teacher, dense_teachers
from retkd.training.examples import CandidateLists
from tests.conftest import MakeInputs
from tests.tables import rows_of
from tests.tiny import tiny_encoder

ROWS = rows_of(
    {"q1": [("d1", 2.0, 1), ("d40", 1.0, None)], "q3": [("d40", 3.0, None), ("d3", 2.0, 1), ("d7", 1.0, None)]}
)


def test_the_scores_of_a_batch_are_inner_products_of_its_texts(
    inputs: MakeInputs, encoder_folder: Path, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    folder = tiny_encoder(tmp_path / "teacher", seed=3, prompts={"query": "baco: ", "document": ""})
    ready = inputs(models={"teacher": folder})
    teacher = dense_teacher("teacher", "train", ready, "cpu", tmp_path / "work")
    examples = list(CandidateLists(ROWS, ready.collection, "train", []))
    batch = Collator(Encoder.load(encoder_folder), {"teacher": teacher})(examples)["batch"]
    peer = SentenceTransformer(str(folder), device="cpu")
    documents = [d.full_text for d in ready.collection.documents_by_id(batch.doc_ids)]
    expected = peer.encode_query([e.query for e in examples]) @ peer.encode_document(documents).T
    assert set(batch.doc_ids) == {"d1", "d3", "d7", "d40"}
    assert batch.in_batch_teachers["teacher"].numpy() == pytest.approx(expected, abs=1e-5)
    assert batch.in_batch_teachers["teacher"].dtype == torch.float32
    assert batch.to("meta").in_batch_teachers["teacher"].device.type == "meta"


def test_queries_are_encoded_once_for_a_training_and_the_corpus_once_for_all(
    inputs: MakeInputs, encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = inputs(models={"teacher": encoder_folder})
    first = dense_teacher("teacher", "train", ready, "cpu", tmp_path / "work")
    monkeypatch.setattr(Encoder, "encode_with_cuts", None)
    again = dense_teacher("teacher", "train", ready, "cpu", tmp_path / "work")
    assert np.array_equal(again.queries, first.queries)
    assert isinstance(again.documents, np.memmap)


def test_of_a_student_s_stored_documents_no_query_is_encoded(
    inputs: MakeInputs, encoder_folder: Path, tmp_path: Path
) -> None:
    """Unless a term names the same encoder."""
    ready = inputs(models={"tower": encoder_folder})
    (tower,) = dense_teachers([], "train", ready, "cpu", tmp_path / "work", "tower").values()
    assert tower.queries is None
    assert not list((tmp_path / "work").glob("queries-*"))
    examples = list(CandidateLists(ROWS, ready.collection, "train", []))
    collate = Collator(Encoder.load(encoder_folder), {"tower": tower}, frozenset({"tower"}), stored_documents=True)
    batch = collate(examples)["batch"]
    assert torch.equal(batch.teacher_documents["tower"], tower.document_vectors(batch.doc_ids))
    assert (batch.teacher_queries, batch.in_batch_teachers, batch.documents) == ({}, {}, ())
    taught = dense_teachers([InBatchKL(model="tower")], "train", ready, "cpu", tmp_path / "work", "tower")
    assert taught["tower"].queries is not None
