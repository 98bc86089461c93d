"""The candidates table: what it promises, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retkd import candidates
from retkd.errors import DataError, ScaleError
from tests.tables import pairs, rows_of, scored, written

LISTS: Any = {"q1": [("b", 2.0, 1), ("a", 1.0, None)], "q2": [("a", 0.5, 0)]}


def test_rows_are_sorted_by_query_and_rank_whatever_order_they_come_in() -> None:
    rows = candidates.table(
        ["q2", "q1", "q1"], ["a", "x", "b"], [1, 2, 1], [0.5, 1.0, 2.0], ["dense", "bm25", "qrels"], [0, None, 1]
    )
    assert rows.to_pylist() == [
        {"query_id": "q1", "doc_id": "b", "rank": 1, "score": 2.0, "source": "qrels", "relevance": 1},
        {"query_id": "q1", "doc_id": "x", "rank": 2, "score": 1.0, "source": "bm25", "relevance": None},
        {"query_id": "q2", "doc_id": "a", "rank": 1, "score": 0.5, "source": "dense", "relevance": 0},
    ]
    assert rows.schema == candidates.SCHEMA


def test_a_pair_that_stands_twice() -> None:
    with pytest.raises(DataError) as error:
        candidates.table(
            ["q1", "q1", "q1"], ["a", "b", "a"], [1, 2, 3], [3.0, 2.0, 1.0], ["bm25"] * 3, [None, None, None]
        )
    assert str(error.value) == (
        "a (query, document) pair stands twice in the candidates table\n"
        "  where: query_id 'q1', doc_id 'a'\n"
        "  seen: 2 rows\n"
        "  allowed: one row per pair\n"
        "  next step: merge the rows, for example with the miner kind 'fused'"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_miners_number_that_is_not_finite(value: float) -> None:
    with pytest.raises(DataError) as error:
        rows_of({"q1": [("a", 1.0, None), ("b", value, None)]})
    assert str(error.value) == (
        "the column score holds a number that is not finite\n"
        "  where: query_id 'q1', doc_id 'b'\n"
        f"  seen: {value}\n"
        "  allowed: finite numbers, or null where a pair was not scored\n"
        "  next step: look at the texts of that pair and at the precision the teacher ran in"
    )


def test_a_teachers_number_that_is_not_finite_and_one_that_is_absent() -> None:
    candidates.checked(scored(rows_of(LISTS), "ce", [1.0, None, 2.0]))
    broken = candidates.with_teacher(rows_of(LISTS), "ce", np.array([1.0, np.nan, 2.0], np.float32), "logit")
    with pytest.raises(
        DataError, match=r"the column teacher.ce holds .*\n  where: query_id 'q1', doc_id 'a'\n  seen: nan"
    ):
        candidates.checked(broken)


def test_a_teacher_column_comes_back_from_disk_with_its_scale(tmp_path: Path) -> None:
    rows = scored(scored(rows_of(LISTS), "ce", [1.0, None, 2.0]), "bi", [0.1, 0.2, 0.3], "cosine")
    folder = written(rows, tmp_path / "train")
    found = candidates.read(folder)
    assert found.equals(rows)
    for table in (found, candidates.schema_of(folder)):
        assert candidates.teacher_columns(table) == ["teacher.ce", "teacher.bi"]
        assert (candidates.scale_of(table, "ce"), candidates.scale_of(table, "bi")) == ("logit", "cosine")
    assert found["teacher.ce"].to_pylist() == [1.0, None, 2.0]


def test_scoring_again_replaces_the_column_and_its_scale() -> None:
    rows = scored(scored(rows_of(LISTS), "ce", [1.0, 2.0, 3.0]), "ce", [0.3, 0.2, 0.1], "probability")
    assert candidates.teacher_columns(rows) == ["teacher.ce"]
    assert candidates.scale_of(rows, "ce") == "probability"
    assert rows["teacher.ce"].to_pylist() == pytest.approx([0.3, 0.2, 0.1])


def test_an_unknown_teacher() -> None:
    with pytest.raises(DataError) as error:
        candidates.scale_of(scored(rows_of(LISTS), "cross", [1.0, 2.0, 3.0]), "crss")
    assert str(error.value) == (
        "the candidates table has no teacher 'crss'\n  seen: crss\n  allowed: cross\n  next step: did you mean 'cross'?"
    )
    with pytest.raises(DataError) as error:
        candidates.scale_of(rows_of(LISTS), "ce")
    assert str(error.value) == (
        "the candidates table has no teacher 'ce'\n"
        "  seen: ce\n"
        "  allowed: none: no teacher has scored this table\n"
        "  next step: add a stage of kind score before this one"
    )


@pytest.mark.parametrize(("metadata", "seen"), [(None, "no metadata"), ({"scale": "logits"}, "logits")])
def test_a_column_that_does_not_say_its_scale(metadata: Any, seen: str) -> None:
    column = pa.array([1.0, 2.0, 3.0], pa.float32())
    rows = rows_of(LISTS).append_column(pa.field("teacher.ce", pa.float32(), metadata=metadata), column)
    with pytest.raises(DataError) as error:
        candidates.scale_of(rows, "ce")
    assert str(error.value) == (
        "the column teacher.ce does not say its scale\n"
        f"  seen: {seen}\n"
        "  allowed: logit, log_probability, probability, cosine, unbounded, standardised, rank, distribution\n"
        "  next step: write the column with retkd.candidates.with_teacher"
    )


def test_a_scale_that_the_reader_cannot_use() -> None:
    rows = scored(rows_of(LISTS), "ce", [1.0, 2.0, 3.0], "rank")
    assert candidates.require_scale(rows, "ce", ("logit", "rank"), "the reader", "rule") == "rank"
    with pytest.raises(ScaleError) as error:
        candidates.require_scale(rows, "ce", ("logit", "cosine"), "the objective 'kl'", "use another loss")
    assert str(error.value) == (
        "the objective 'kl' cannot use the scores of teacher 'ce'\n"
        "  where: column teacher.ce\n"
        "  seen: scale 'rank'\n"
        "  allowed: logit, cosine\n"
        "  next step: use another loss"
    )


def test_the_same_rows_give_the_same_bytes_and_carry_what_is_told(tmp_path: Path) -> None:
    for name in ("one", "two"):
        candidates.write(scored(rows_of(LISTS), "ce", [1.0, None, 2.0]), tmp_path / name, {"retkd.key": "abc"})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert pq.read_schema(tmp_path / "one").metadata[b"retkd.key"] == b"abc"


def test_parts_with_other_sources_become_one_table(tmp_path: Path) -> None:
    sources = [["bm25", "dense"], ["qrels"]]
    for part, names in enumerate(sources):
        ids = [f"d{i}" for i in range(len(names))]
        rows = candidates.table(
            [f"q{part}"] * len(ids), ids, range(1, len(ids) + 1), [1.0] * len(ids), names, [None] * len(ids)
        )
        candidates.write(rows, tmp_path / f"part-{part:05d}-of-00002.parquet")
    found = candidates.read(tmp_path)
    assert found["source"].to_pylist() == ["bm25", "dense", "qrels"]
    assert pairs(found) == [("q0", "d0"), ("q0", "d1"), ("q1", "d0")]
    assert candidates.read(tmp_path, ["doc_id"]).column_names == ["doc_id"]


def test_a_split_without_parts(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError) as error:
        candidates.read(tmp_path / "train")
    assert str(error.value) == (
        "no candidates here\n"
        f"  where: {tmp_path / 'train'}\n"
        "  allowed: a folder with part-*.parquet\n"
        "  next step: name the split in the mine stage's `splits`, or rerun the stage that writes it"
    )
    written(rows_of(LISTS), tmp_path / "dev")
    (tmp_path / "work").mkdir()
    assert candidates.splits(tmp_path) == ["dev"]


def test_groups_are_the_lists_of_the_queries() -> None:
    assert list(candidates.groups(rows_of(LISTS))) == [("q1", 0, 2), ("q2", 2, 3)]
    assert list(candidates.groups(rows_of({}))) == []


def test_queries_that_the_collection_does_not_have() -> None:
    candidates.require_queries(["a", "b", "a"], {"a": 1, "b": 2}, "train")
    with pytest.raises(DataError) as error:
        candidates.require_queries(["a", "x", "x", "y"], {"a": 1}, "train")
    assert str(error.value) == (
        "the candidates table names queries that the collection does not have\n"
        "  where: split train\n"
        "  seen: 2, such as 'x'\n"
        "  next step: run the mine stage again on this collection"
    )


def test_a_grade_that_does_not_fit() -> None:
    with pytest.raises(DataError) as error:
        candidates.table(["q"], ["d"], [1], [1.0], ["bm25"], [300])
    assert str(error.value) == (
        "a grade does not fit into the candidates table\n"
        "  where: query_id 'q', doc_id 'd'\n"
        "  seen: 300\n"
        "  allowed: -128 to 127; 1 and more is relevant\n"
        "  next step: map the grades of the judgements to a small scale, such as 0 to 3"
    )
