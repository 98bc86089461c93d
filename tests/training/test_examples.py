"""Rows and texts joined by id into training examples."""

from pathlib import Path
from typing import Any

import pytest

from retkd.collections.base import Collection
from retkd.errors import DataError
from retkd.training.examples import CandidateLists, require_lists
from tests.conftest import opened
from tests.tables import beir, rows_of, scored

QRELS = {"train": {"q1": {"d1": 2, "d3": 1, "d2": 0}, "q2": {"d2": 1}}}
LISTS: Any = {"q1": [("d2", 3.0, 0), ("d1", 2.0, 2)], "q2": [("d2", 3.0, 1), ("d3", 2.0, None), ("d1", 1.0, None)]}


@pytest.fixture
def small(tmp_path: Path) -> Collection:
    texts = {"d1": "one", "d2": "two", "d3": "three"}
    return opened(beir(tmp_path / "small", texts, {"q1": "first", "q2": "second"}, QRELS), tmp_path / "cache")


def test_an_example_is_a_list_with_its_texts_labels_and_scores(small: Collection) -> None:
    rows = scored(scored(rows_of(LISTS), "ce", [1.0, 2.0, 3.0, 4.0, 5.0]), "bi", [0.5] * 5)
    found = CandidateLists(rows, small, "train", ["ce"])
    assert len(found) == 2
    first, second = found[0], found[1]
    assert vars(first) == {
        "query_id": "q1",
        "query": "first",
        "doc_ids": ("d2", "d1"),
        "documents": ("two", "one"),
        "relevance": (0, 2),
        "teachers": {"ce": (1.0, 2.0)},
        "all_positives": frozenset({"d1", "d3"}),
        "num_variants": 1,
    }
    assert (second.documents, second.relevance) == (("two", "three", "one"), (1, 0, 0))
    assert second.teachers == {"ce": (3.0, 4.0, 5.0)}


def test_a_query_that_the_collection_does_not_have(small: Collection) -> None:
    with pytest.raises(
        DataError, match=r"names queries that the collection does not have\n.*\n  seen: 1, such as 'q9'"
    ):
        CandidateLists(rows_of({**LISTS, "q9": [("d1", 1.0, None)]}), small, "train", [])


def test_a_document_that_the_collection_does_not_have(small: Collection) -> None:
    found = CandidateLists(rows_of({"q1": [("d1", 2.0, 1), ("d9", 1.0, None)]}), small, "train", [])
    with pytest.raises(DataError, match=r"not in the collection\n(.*\n)*  seen: 'd9'"):
        found[0]


def test_a_row_that_the_teacher_has_not_scored(small: Collection) -> None:
    with pytest.raises(DataError) as error:
        CandidateLists(scored(rows_of(LISTS), "ce", [1.0, 2.0, None, None, 5.0]), small, "train", ["ce"])
    assert str(error.value) == (
        "2 training rows have no score of teacher 'ce'\n"
        "  where: query_id 'q2', doc_id 'd2'\n"
        "  allowed: a score on every row: a teacher loss never sees a pair that the teacher has not\n"
        "  next step: score deeper, or let the select stage drop them with `teacher: ce`"
    )


def test_no_lists(small: Collection) -> None:
    with pytest.raises(DataError) as error:
        CandidateLists(rows_of({}), small, "train", [])
    assert str(error.value) == (
        "there are no candidate lists to train on\n"
        "  where: split train\n"
        "  seen: 0 rows\n"
        "  next step: look at `rows.dropped` in the select stage's manifest, and at the mine stage's depth"
    )


def test_lists_of_length_one() -> None:
    require_lists(rows_of(LISTS), "the reader")
    with pytest.raises(DataError) as error:
        require_lists(rows_of({**LISTS, "q3": [("d1", 1.0, 1)], "q4": [("d2", 1.0, 1)]}), "the objective 'kl'")
    assert str(error.value) == (
        "2 of the candidate lists have length one\n"
        "  where: query_id 'q3'\n"
        "  seen: one candidate\n"
        "  allowed: two or more\n"
        "  consequence: the objective 'kl' compares candidates of one query: with one candidate its gradient is zero\n"
        "  next step: mine deeper, filter less, or drop these queries in the select stage"
    )
