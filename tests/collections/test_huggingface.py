"""Tables with mapped columns: local parquet and JSON lines, and the hub's loader on a local folder."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from retkd.collections.base import Document, Query
from retkd.collections.huggingface import DocumentTable, HuggingFace, QueryTable
from retkd.collections.tables import Table
from retkd.errors import DataError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CORPUS = {"pid": [1, 2, 3], "body": ["one", "two", ""], "head": ["First", None, ""]}
QUERIES = {"_id": ["q1", "q2"], "text": ["which is one", "which is two"]}
TRAIN = {"query-id": ["q1", "q2"], "corpus-id": [1, 2], "score": [1.0, 2.0]}


def parquet(file, columns):
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file)
    return str(file)


def config(folder, corpus=CORPUS, queries=QUERIES, train=TRAIN, **changed):
    tables = {
        "corpus": {"path": parquet(folder / "corpus.parquet", corpus), "id": "pid", "text": "body", "title": "head"},
        "queries": {"path": parquet(folder / "queries.parquet", queries)},
        "qrels": {"train": {"path": parquet(folder / "train.parquet", train)}},
    }
    return HuggingFace.model_validate(tables | changed)


def test_columns_are_mapped(tmp_path, cache):
    collection = config(tmp_path).open(cache)
    assert collection.splits == ("train",)
    assert list(collection.documents()) == [Document("1", "one", "First"), Document("2", "two"), Document("3", "")]
    assert list(collection.documents_by_id(["2", "1"])) == [Document("2", "two"), Document("1", "one", "First")]
    assert collection.queries("train") == [Query("q1", "which is one"), Query("q2", "which is two")]
    assert collection.qrels("train") == {"q1": {"1": 1}, "q2": {"2": 2}}


def test_digest_follows_content_and_mapping_and_makes_nothing(tmp_path, cache):
    collection = config(tmp_path / "a").open(cache)
    assert collection.digest == config(tmp_path / "b").open(cache).digest
    assert not (cache / "made").exists()
    assert config(tmp_path / "c", corpus=CORPUS | {"body": ["x", "y", "z"]}).open(cache).digest != collection.digest
    ungraded = {"train": {"path": str(tmp_path / "a" / "train.parquet"), "score": None}}
    other = config(tmp_path / "a", qrels=ungraded).open(cache)
    assert other.digest != collection.digest
    assert other.qrels("train") == {"q1": {"1": 1}, "q2": {"2": 1}}


def test_a_pattern_takes_parts_in_order_and_json_lines_are_read(tmp_path, cache):
    for part, ids in (("b", [3]), ("a", [1, 2])):
        parquet(tmp_path / f"part-{part}.parquet", {"_id": ids, "text": [f"text {n}" for n in ids]})
    lines = [json.dumps({"_id": "q1", "text": "which is one"}), json.dumps({"_id": "q2", "text": "which is two"})]
    (tmp_path / "q.jsonl").write_text("\n".join(lines))
    corpus = DocumentTable(path=str(tmp_path / "part-*.parquet"))
    queries = QueryTable(path=str(tmp_path / "q.jsonl"))
    collection = config(tmp_path).model_copy(update={"corpus": corpus, "queries": queries}).open(cache)
    assert [d.doc_id for d in collection.documents()] == ["1", "2", "3"]
    assert [q.query_id for q in collection.queries("train")] == ["q1", "q2"]


def test_pairs_get_ids_from_their_texts(tmp_path, cache):
    train = {"query": ["a", "b", "a"], "answer": ["x", "x", "y"], "wrong": [["u", "v"], [], ["x"]]}
    tables = {
        "train": {"path": parquet(tmp_path / "train.parquet", train), "negatives": ["wrong"]},
        "dev": {"path": parquet(tmp_path / "dev.parquet", {"question": ["c"], "answer": ["y"]}), "query": "question"},
    }
    collection = HuggingFace.model_validate({"pairs": tables}).open(cache)
    texts = {d.doc_id: d.text for d in collection.documents()}
    assert list(texts.values()) == ["x", "u", "v", "y"]
    names = {q.query_id: q.text for s in collection.splits for q in collection.queries(s)}
    judged = {names[q]: {texts[d]: g for d, g in row.items()} for q, row in collection.qrels("train").items()}
    assert judged == {"a": {"x": 1, "y": 1}, "b": {"x": 1}}
    assert [q.text for q in collection.queries("dev")] == ["c"]


def test_the_hub_loader_on_a_local_folder(tmp_path, cache, monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hub cache")
    parquet(tmp_path / "hub" / "data" / "train-0.parquet", CORPUS)
    named = {"name": str(tmp_path / "hub"), "revision": COMMIT, "id": "pid", "text": "body"}
    collection = config(tmp_path).model_copy(update={"corpus": DocumentTable(**named)}).open(cache)
    assert [d.text for d in collection.documents()] == ["one", "two", ""]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"corpus": CORPUS | {"body": ["a", None, "c"]}},
            r"column 'body' holds.*\n  where: .*corpus\.parquet, row 2\n  seen: None",
        ),
        (
            {"corpus": {"pid": [1], "text": ["a"], "head": [""]}},
            r"there is no column 'body'\n.*\n  seen: pid, text, head",
        ),
        (
            {"corpus": CORPUS | {"pid": ["a", "b\tc", "d"]}},
            r"column 'pid' holds.*\n.*row 2\n  seen: 'b\\tc'\n  allowed: an id",
        ),
        (
            {"train": TRAIN | {"score": [1.0, 0.5]}},
            r"column 'score' holds.*\n.*row 2\n  seen: 0\.5\n  allowed: an integer grade",
        ),
        (
            {"train": TRAIN | {"corpus-id": [1, 9]}},
            r"the row names an unknown document\n.*train\.tsv, line 3\n  seen: '9'",
        ),
        ({"corpus": CORPUS | {"pid": [1, 2, 1]}}, r"two lines have the same id\n.*lines 1 and 3"),
    ],
)
def test_malformed_tables_are_refused(tmp_path, cache, changed, message):
    with pytest.raises(DataError) as error:
        config(tmp_path, **changed).open(cache).queries("train")
    assert re.search(message, str(error.value)), str(error.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "nothing-*.parquet",
            r"no file has this name\n.*\n  seen: .*nothing-\*\.parquet\n  allowed: \.parquet, \.jsonl",
        ),
        ("a.csv", r"in a format that is not read\n.*\n  seen: a\.csv"),
        ("bad.parquet", r"the file is not parquet\n  where: .*bad\.parquet"),
        ("bad.jsonl", r"the line is not JSON.*\n  where: .*bad\.jsonl, line 1"),
    ],
)
def test_files_that_cannot_be_read_are_told(tmp_path, name, message):
    for file in ("a.csv", "bad.parquet", "bad.jsonl"):
        (tmp_path / file).write_text("no")
    with pytest.raises(DataError, match=message):
        list(Table(path=str(tmp_path / name)).rows(["a"]))


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"corpus": {"path": "a.parquet"}}, "give corpus, queries and qrels"),
        ({"pairs": {"train": {"path": "a.parquet", "name": "b"}}}, "give either path"),
        ({"pairs": {"train": {"name": "BeIR/scifact"}}}, "give the revision"),
        ({"pairs": {"train": {"name": "BeIR/scifact", "revision": "main"}}}, "should match pattern"),
    ],
)
def test_recipes_that_say_too_little_are_refused(tables, message):
    with pytest.raises(ValidationError, match=message):
        HuggingFace.model_validate(tables)
