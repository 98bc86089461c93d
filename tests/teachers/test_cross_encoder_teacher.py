"""The cross-encoder teacher: raw logits of the right pairs, each scored once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retkd.collections.base import Collection
from retkd.cross_encoder import PairScorer
from retkd.errors import DataError
from retkd.teachers.base import Rows
from retkd.teachers.cross_encoder import CrossEncoderTeacher
from tests.conftest import MakeInputs
from tests.tables import pairs
from tests.teachers.rows import everything, lists, two_splits
from tests.tiny import tiny_cross_encoder

TEACHER = CrossEncoderTeacher(model="ce", max_length=48, query_max_length=16, pairs_per_shard=7)


def expected(folder: Path, collection: Collection, rows: Rows) -> np.ndarray:
    queries = {q.query_id: q.text for q in collection.queries(rows.split)}
    chosen = [pairs(rows.table)[i] for i in rows.chosen]
    documents = [d.full_text for d in collection.documents_by_id([d for _, d in chosen])]
    scorer = PairScorer.load(folder, "cpu", 48, 16)
    return np.array([scorer.score([(queries[q], text)])[0] for (q, _), text in zip(chosen, documents, strict=True)])


def test_every_chosen_row_gets_the_logit_of_its_own_texts(
    inputs: MakeInputs, collection: Collection, cross_encoder_folder: Path, tmp_path: Path
) -> None:
    train, dev = two_splits()
    splits = [replace(train, chosen=np.array([20, 3, 4])), dev]
    judged = TEACHER.judge("ce", splits, inputs(models={"ce": cross_encoder_folder}), tmp_path / "work")
    assert judged.scale == "logit"
    assert judged.num_new == 3 + dev.table.num_rows
    assert list(judged.scores) == ["train", "dev"]
    for rows in splits:
        assert judged.scores[rows.split] == pytest.approx(expected(cross_encoder_folder, collection, rows), abs=1e-5)
        assert judged.scores[rows.split].dtype == np.float32


def test_a_second_call_scores_only_what_is_new(inputs: MakeInputs, cross_encoder_folder: Path, tmp_path: Path) -> None:
    ready = inputs(models={"ce": cross_encoder_folder})
    few = [everything("train", lists("train", 0, depth=3))]
    more = [everything("train", lists("train", 0, depth=5))]
    first = TEACHER.judge("ce", few, ready, tmp_path / "first")
    second = TEACHER.judge("ce", more, ready, tmp_path / "second")
    third = TEACHER.judge("other name", more, ready, tmp_path / "third")
    assert (first.num_new, second.num_new, third.num_new) == (9, 6, 0)
    old = [i for i in range(15) if i % 5 < 3]
    assert np.array_equal(second.scores["train"][old], first.scores["train"])
    assert np.array_equal(third.scores["train"], second.scores["train"])


@pytest.mark.parametrize("change", [{"max_length": 47}, {"query_max_length": 15}, {"precision": "bf16"}])
def test_another_setting_is_another_teacher(
    inputs: MakeInputs, cross_encoder_folder: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    ready, rows = inputs(models={"ce": cross_encoder_folder}), [everything("train", lists("train", 0))]
    TEACHER.judge("ce", rows, ready, tmp_path / "first")
    other = TEACHER.model_copy(update=change)
    assert other.judge("ce", rows, ready, tmp_path / "second").num_new == 24


def test_other_weights_are_another_teacher(inputs: MakeInputs, cross_encoder_folder: Path, tmp_path: Path) -> None:
    rows = [everything("train", lists("train", 0))]
    other_folder = tiny_cross_encoder(tmp_path / "other", seed=1)
    first = TEACHER.judge("ce", rows, inputs(models={"ce": cross_encoder_folder}), tmp_path / "first")
    other = TEACHER.judge("ce", rows, inputs(models={"ce": other_folder}), tmp_path / "second")
    assert other.num_new == 24
    assert not np.allclose(other.scores["train"], first.scores["train"])


def test_the_truncation_rate_is_the_share_of_rows_that_were_cut(
    inputs: MakeInputs, collection: Collection, cross_encoder_folder: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    rows = everything("train", lists("train", 0))
    queries = {q.query_id: q.text for q in collection.queries("train")}
    texts = [next(iter(collection.documents_by_id([d]))).full_text for _, d in pairs(rows.table)]
    tokenizer = AutoTokenizer.from_pretrained(cross_encoder_folder)
    lengths = [
        len(tokenizer(queries[q], text)["input_ids"]) for (q, _), text in zip(pairs(rows.table), texts, strict=True)
    ]
    limit = sorted(lengths)[15]
    teacher = TEACHER.model_copy(update={"max_length": limit})
    judged = teacher.judge("ce", [rows], inputs(models={"ce": cross_encoder_folder}), tmp_path / "work")
    cut = np.mean([length > limit for length in lengths])
    assert 0 < cut < 1
    assert judged.truncation_rate == pytest.approx(cut)


def test_rows_of_another_collection_are_refused(inputs: MakeInputs, cross_encoder_folder: Path, tmp_path: Path) -> None:
    """The queries of train are not those of dev: a row that names one is an error, never an empty string."""
    with pytest.raises(DataError) as error:
        TEACHER.judge(
            "ce",
            [everything("dev", lists("train", 0))],
            inputs(models={"ce": cross_encoder_folder}),
            tmp_path / "work",
        )
    assert str(error.value) == (
        "the candidates table names queries that the collection does not have\n"
        "  where: split dev\n"
        "  seen: 3, such as 'q0'\n"
        "  next step: run the mine stage again on this collection"
    )
