"""Public files as they are found, and what is wrong with them, by file and line."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retkd.errors import DataError
from retkd.formats import FORMATS


def lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def read(name: str, path: Path) -> list[Any]:
    return list(FORMATS[name].read(path))


def test_flagembedding_without_ids_or_scores(tmp_path: Path) -> None:
    (each,) = read("flagembedding", lines(tmp_path / "f.jsonl", {"query": "a", "pos": ["x"], "neg": ["y", "z"]}))
    assert (each.query_id, each.query) == (None, "a")
    assert [(d.doc_id, d.text, d.positive, d.score) for d in each.documents] == [
        (None, "x", True, None),
        (None, "y", False, None),
        (None, "z", False, None),
    ]


def test_tevatron_with_titles(tmp_path: Path) -> None:
    passages = [{"docid": "1", "title": "T", "text": "x"}], [{"docid": 2, "title": "", "text": "y", "score": 1}]
    record = {"query_id": 7, "query": "a", "positive_passages": passages[0], "negative_passages": passages[1]}
    (each,) = read("tevatron", lines(tmp_path / "t.jsonl", record))
    assert each.query_id == "7"
    assert [(d.doc_id, d.text, d.score) for d in each.documents] == [("1", "T x", None), ("2", "y", 1.0)]


def test_sentence_transformers_by_place_and_as_labelled_lists(tmp_path: Path) -> None:
    tuples = {"anchor": "a", "passage1": "x", "passage2": "y", "label": [2.0, 1.0]}
    (each,) = read("sentence_transformers", lines(tmp_path / "n.jsonl", tuples))
    assert [(d.text, d.positive, d.score) for d in each.documents] == [("x", True, 2.0), ("y", False, 1.0)]
    listed = {"query": "a", "docs": ["x", "y"]}
    (each,) = read("sentence_transformers", lines(tmp_path / "l.jsonl", {**listed, "labels": [0, 1]}))
    assert [(d.text, d.positive, d.score) for d in each.documents] == [("x", False, None), ("y", True, None)]
    (each,) = read("sentence_transformers", lines(tmp_path / "s.jsonl", {**listed, "scores": [0.5, 1.5]}))
    assert [(d.positive, d.score) for d in each.documents] == [(None, 0.5), (None, 1.5)]


def test_nemo_with_bare_ids(tmp_path: Path) -> None:
    item = {"question_id": 1, "question": "a", "corpus_id": "c", "pos_doc": ["d1"], "neg_doc": [{"id": 2}]}
    path = tmp_path / "train.json"
    path.write_text(json.dumps({"corpus": {"path": "c"}, "data": [item]}))
    (each,) = read("nemo", path)
    assert [(d.doc_id, d.text, d.positive) for d in each.documents] == [("d1", None, True), ("2", None, False)]


GOOD = {"query": "a", "pos": ["x"], "neg": ["y"]}
PASSAGES = {"query": "a", "positive_passages": [{"text": "x"}], "negative_passages": []}
WRONG = [
    ("flagembedding", {**GOOD, "pos_scores": [float("nan")], "neg_scores": [1.0]}, "a score is not a finite number"),
    ("flagembedding", {**GOOD, "pos_scores": ["1"], "neg_scores": [1.0]}, "a score is not a finite number"),
    (
        "flagembedding",
        {**GOOD, "pos_scores": [1.0], "neg_scores": []},
        "'neg_scores' does not hold one score per document",
    ),
    ("flagembedding", {"query": "a", "neg": ["y"]}, "there is no field 'pos'"),
    ("flagembedding", {**GOOD, "neg": [3]}, "the field 'neg' holds no string"),
    ("flagembedding", {**GOOD, "neg_ids": ["1", "2"]}, "the field 'neg_ids' does not hold one id per document"),
    ("flagembedding", {**GOOD, "pos_scores": [10**400], "neg_scores": [1.0]}, "a score is not a finite number"),
    ("flagembedding", {**GOOD, "pos_scores": [1e39], "neg_scores": [1.0]}, "a score is not a finite number"),
    ("tevatron", {"query_id": [], **PASSAGES}, "the field 'query_id' holds no id"),
    ("tevatron", {**PASSAGES, "negative_passages": [{"docid": {}, "text": "y"}]}, "the field 'docid' holds no id"),
    ("tevatron", GOOD, "there is no field 'positive_passages'"),
    ("tevatron", {"query": "a", "positive_passages": ["x"], "negative_passages": []}, "this is no record"),
    ("sentence_transformers", {"query": "a", "p": "x", "n": "y", "score": 0.5}, "one number, which is a margin"),
    (
        "sentence_transformers",
        {"query": "a", "p": "x", "n": "y", "label": [0.5]},
        "does not hold one score per document",
    ),
    ("sentence_transformers", {"query": "a", "score": 0.5}, "a row needs a query and a document"),
]


@pytest.mark.parametrize(("name", "record", "what"), WRONG, ids=[f"{name}: {what[:30]}" for name, _, what in WRONG])
def test_what_is_wrong_is_told_with_file_and_line(name: str, record: Any, what: str, tmp_path: Path) -> None:
    good = {"flagembedding": GOOD, "tevatron": PASSAGES}.get(name, {"query": "a", "p": "x", "n": "y"})
    path = lines(tmp_path / "f.jsonl", good, record)
    with pytest.raises(DataError) as error:
        read(name, path)
    assert what in str(error.value)
    assert f"where: {path}, line 2" in str(error.value)


def test_a_file_that_is_not_there_or_no_parquet(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no such file\n  where: .*x.jsonl"):
        read("tevatron", tmp_path / "x.jsonl")
    (tmp_path / "x.parquet").write_text("text")
    with pytest.raises(DataError, match=r"the file is not parquet\n  where: .*x.parquet"):
        read("pylate", tmp_path / "x.parquet")
    (tmp_path / "x.json").write_text("{]")
    with pytest.raises(DataError, match=r"the file is not JSON.*\n  where: .*x.json, line 1"):
        read("nemo", tmp_path / "x.json")
    (tmp_path / "y.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(DataError, match=r"the file is not UTF-8\n  where: .*y.json"):
        read("nemo", tmp_path / "y.json")


def test_pylate_with_a_document_that_has_no_id(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    pq.write_table(pa.table({"query_id": [1], "document_ids": [["a", None]], "scores": [[1.0, 2.0]]}), path)
    with pytest.raises(DataError, match=r"the field 'document_ids' holds no id\n  where: .*train.parquet, row 1"):
        read("pylate", path)
