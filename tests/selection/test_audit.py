"""The audit counts what is wrong with lists, and shows examples."""

import json
from pathlib import Path

import numpy as np
import pytest

from retkd.collections.base import Collection
from retkd.selection.audit import NUM_EXAMPLES, audit, normal
from tests.conftest import opened
from tests.tables import beir, rows_of, scored

DOCUMENTS = {"d1": "Cats sleep", "d2": "dogs", "copy": " cats\n SLEEP ", "twin": "dogs", "e": " ", "p": "not mined"}
QRELS = {"train": {"q1": {"d1": 1, "p": 1}, "q2": {"d2": 0}}}


@pytest.fixture
def small(tmp_path: Path) -> Collection:
    return opened(beir(tmp_path / "small", DOCUMENTS, {"q1": "a", "q2": "b"}, QRELS), tmp_path / "cache")


ROWS = rows_of(
    {
        "q1": [("d1", 9.0, 1), ("copy", 8.0, None), ("p", 7.0, None), ("gone", 6.0, None), ("e", 5.0, None)],
        "q2": [("d2", 4.0, 0), ("twin", 3.0, None)],
    }
)


def test_what_is_wrong_is_counted_with_examples(small: Collection) -> None:
    checks = audit(ROWS, small, "train", {}, 7)["checks"]
    pair = [{"query_id": "q1", "doc_id": doc_id} for doc_id in ("p", "copy", "gone", "e")]
    assert checks == {
        "positives among negatives, by id": {"count": 1, "of": 6, "examples": [pair[0]]},
        "positives among negatives, by text": {"count": 2, "of": 6, "examples": [pair[1], pair[0]]},
        "unknown document ids": {"count": 1, "of": 7, "examples": [pair[2]]},
        "empty documents": {"count": 1, "of": 7, "examples": [pair[3]]},
        "the same text twice in a list": {
            "count": 2,
            "of": 7,
            "examples": [
                {"query_id": "q1", "doc_id": "copy", "same_as": "d1"},
                {"query_id": "q2", "doc_id": "twin", "same_as": "d2"},
            ],
        },
        "queries without a positive": {"count": 1, "of": 2, "examples": [{"query_id": "q2"}]},
    }


def test_rows_are_accounted_for(small: Collection) -> None:
    told = audit(ROWS, small, "train", {"not sampled (random)": 3}, 10)
    assert told["split"] == "train"
    assert told["rows"] == {"in": 10, "out": 7, "dropped": {"not sampled (random)": 3}}
    assert json.loads(json.dumps(told)) == told


def test_histograms_split_positives_from_negatives_over_common_edges(small: Collection) -> None:
    rows = scored(ROWS, "ce", [3.0, None, 1.0, 1.0, -2.0, 0.0, None])
    found = audit(rows, small, "train", {}, 7)["score_histograms"]
    assert set(found) == {"score: positives", "score: negatives", "ce: positives", "ce: negatives"}
    edges = found["ce: positives"]["edges"]
    assert edges == found["ce: negatives"]["edges"]
    assert (edges[0], edges[-1]) == (-2.0, 3.0)
    assert sum(found["ce: positives"]["counts"]) == 1
    assert found["ce: positives"]["counts"][-1] == 1
    expected, _ = np.histogram([1.0, 1.0, -2.0, 0.0], bins=edges)
    assert found["ce: negatives"]["counts"] == expected.tolist()
    assert sum(found["score: negatives"]["counts"]) == 6


def test_a_teacher_that_scored_nothing_has_no_histogram(small: Collection) -> None:
    found = audit(scored(ROWS, "ce", [None] * 7), small, "train", {}, 7)["score_histograms"]
    assert set(found) == {"score: positives", "score: negatives"}


def test_examples_are_few(small: Collection) -> None:
    rows = rows_of({"q2": [(f"gone{i}", 1.0 - i, None) for i in range(20)]})
    check = audit(rows, small, "train", {}, 20)["checks"]["unknown document ids"]
    assert check["count"] == 20
    assert [e["doc_id"] for e in check["examples"]] == [f"gone{i}" for i in range(NUM_EXAMPLES)]


def test_normal_forgets_case_and_spacing_alone() -> None:
    assert normal(" Cats\t\nSLEEP ") == normal("cats sleep")
    assert normal("cats sleep.") != normal("cats sleep")
