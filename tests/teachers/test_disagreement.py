"""Where teachers differ: taus and furthest pairs by hand."""

import pytest

from retkd.collections.base import Collection
from retkd.teachers.disagreement import disagreement
from tests.tables import rows_of, scored

DEV = rows_of(
    {
        "q18": [("d18", 3.0, 1), ("d19", 2.0, None), ("d20", 1.0, 0)],
        "q19": [("d19", 3.0, 1), ("d20", 2.0, None), ("d21", 1.0, None)],
        "q20": [("d20", 3.0, 1)],
    }
)
ONE = [3.0, 2.0, 1.0, 3.0, 2.0, 1.0, 5.0]
TWO = [30.0, 20.0, 10.0, 1.0, 2.0, 3.0, 5.0]


def test_taus_and_furthest_pairs_by_hand(collection: Collection) -> None:
    """On q18 they agree, on q19 they reverse each other: its ends are 2 * sqrt(3/2) apart. A list of one says nothing."""
    rows = scored(scored(DEV, "one", ONE), "two", TWO, "cosine")
    (pair,) = disagreement({"dev": rows}, ["one", "two"], collection)["dev"]
    assert pair["teachers"] == ["one", "two"]
    assert pair["tau"] == {"mean": 0.0, "lowest": -1.0, "highest": 1.0}
    assert (pair["num_queries"], pair["of_queries"]) == (2, 2)
    texts = {query.query_id: query.text for query in collection.queries("dev")}
    assert pair["queries"][0] == {"query_id": "q19", "query": texts["q19"], "tau": -1.0}
    (example,) = pair["pairs"]
    (document,) = collection.documents_by_id(["d19"])
    assert example["query_id"] == "q19"
    assert example["doc_id"] == "d19"
    assert example["text"] == document.full_text
    assert example["grade"] == 1
    assert example["scores"] == {"one": 3.0, "two": 1.0}
    assert example["difference"] == pytest.approx(2 * 1.5**0.5, abs=1e-5)


def test_only_rows_that_both_have_scored_count(collection: Collection) -> None:
    rows = scored(scored(DEV, "one", ONE), "two", [30.0, 20.0, 10.0, 1.0, None, None, None])
    (pair,) = disagreement({"dev": rows}, ["one", "two"], collection)["dev"]
    assert pair["of_queries"] == 1
    assert pair["tau"]["mean"] == 1.0
    assert pair["pairs"] == []


def test_a_constant_teacher_has_no_tau(collection: Collection) -> None:
    rows = scored(scored(DEV, "one", ONE), "two", [1.0] * 7)
    (pair,) = disagreement({"dev": rows}, ["one", "two"], collection)["dev"]
    assert pair["tau"] is None
    assert len(pair["pairs"]) == 2


def test_three_teachers_make_three_pairs_and_one_makes_none(collection: Collection) -> None:
    rows = scored(scored(scored(DEV, "one", ONE), "two", TWO), "three", ONE)
    found = disagreement({"dev": rows}, ["one", "two", "three"], collection)["dev"]
    assert [pair["teachers"] for pair in found] == [["one", "two"], ["one", "three"], ["two", "three"]]
    assert disagreement({"dev": rows}, ["one"], collection) == {}
