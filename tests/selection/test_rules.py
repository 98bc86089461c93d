"""Which rows of the training table stay, and the reason that each other row is given."""

from pathlib import Path
from typing import Any

import pytest

from retkd.collections.base import Collection
from retkd.errors import DataError, ScaleError
from retkd.selection.filters import Absolute, Margin, Percentage
from retkd.selection.rules import select
from retkd.selection.samplers import Mixed, Random, TopK
from tests.conftest import opened
from tests.tables import beir, pairs, rows_of, scored

DOCUMENTS = {**{f"d{i}": f"text {i}" for i in range(10)}, "copy": "Text   1", "e": ""}
QUERIES = {"q1": "one", "q2": "two", "q3": "three"}
QRELS = {"train": {"q1": {"d1": 1, "d2": 0}, "q2": {"d5": 2, "d6": 1}, "q3": {"d0": 0}}}
EVERYTHING = TopK(num_negatives=100)


@pytest.fixture
def small(tmp_path: Path) -> Collection:
    return opened(beir(tmp_path / "small", DOCUMENTS, QUERIES, QRELS), tmp_path / "cache")


ROWS = rows_of(
    {
        "q1": [("d3", 5.0, None), ("d1", 4.0, 1), ("copy", 3.5, None), ("d2", 3.0, 0), ("d4", 2.0, None)],
        "q2": [("d5", 5.0, 2), ("d7", 4.0, None), ("d8", 3.0, None), ("d6", 2.0, 1)],
        "q3": [("d0", 2.0, 0), ("d9", 1.0, None)],
    }
)
SCORES = [0.9, 0.7, 0.1, 0.6, 0.2, 0.8, 0.5, 0.3, 0.4, 0.1, 0.2]
SCORED = scored(ROWS, "ce", SCORES)


def selected(rows: Any, collection: Collection, **given: Any) -> tuple[dict[str, list[str]], dict[str, int]]:
    rules: dict[str, Any] = {
        "filters": [],
        "sampler": EVERYTHING,
        "teacher": None,
        "unlabelled": "drop",
        "seed": 0,
        **given,
    }
    chosen = select(rows, collection, "train", **rules)
    kept, dropped = chosen.rows, chosen.dropped
    assert rows.num_rows == kept.num_rows + sum(dropped.values())
    lists: dict[str, list[str]] = {}
    for query_id, doc_id in pairs(kept):
        lists.setdefault(query_id, []).append(doc_id)
    return lists, dropped


def test_without_rules_copies_of_positives_and_unlabelled_queries_go(small: Collection) -> None:
    lists, dropped = selected(ROWS, small)
    assert lists == {"q1": ["d3", "d1", "d2", "d4"], "q2": ["d5", "d7", "d8", "d6"]}
    assert dropped == {"query without a judged positive": 2, "same text as a positive of the query": 1}


def test_unlabelled_queries_can_stay(small: Collection) -> None:
    lists, dropped = selected(ROWS, small, unlabelled="keep")
    assert lists["q3"] == ["d0", "d9"]
    assert dropped == {"same text as a positive of the query": 1}


def test_a_margin_is_below_the_querys_best_positive(small: Collection) -> None:
    """q1: below 0.7 - 0.05; q2: below 0.8 - 0.05, the best of its two. Positives are never filtered."""
    lists, dropped = selected(SCORED, small, filters=[Margin(teacher="ce", margin=0.05)])
    assert lists == {"q1": ["d1", "d2", "d4"], "q2": ["d5", "d7", "d8", "d6"]}
    assert dropped["margin filter on ce"] == 1


def test_the_first_rule_that_takes_a_row_is_its_reason(small: Collection) -> None:
    rules = [Absolute(teacher="ce", max_score=0.55), Margin(teacher="ce", margin=0.4)]
    lists, dropped = selected(SCORED, small, filters=rules, sampler=TopK(num_negatives=1))
    assert lists == {"q1": ["d1", "d4"], "q2": ["d5", "d8", "d6"]}
    assert dropped == {
        "query without a judged positive": 2,
        "same text as a positive of the query": 1,
        "absolute filter on ce": 2,
        "margin filter on ce": 1,
    }
    _, dropped = selected(SCORED, small, sampler=TopK(num_negatives=1))
    assert dropped["not sampled (top_k)"] == 3


def test_a_list_that_shrinks_below_two_goes_as_a_whole(small: Collection) -> None:
    lists, dropped = selected(SCORED, small, filters=[Absolute(teacher="ce", max_score=0.0)])
    assert lists == {"q2": ["d5", "d6"]}
    assert dropped["fewer than two candidates left for the query"] == 1


def test_rows_that_the_teacher_has_not_scored_go_only_when_it_is_named(small: Collection) -> None:
    partly = scored(ROWS, "ce", [None, *SCORES[1:]])
    lists, dropped = selected(partly, small, teacher="ce")
    assert lists["q1"] == ["d1", "d2", "d4"]
    assert dropped["not scored by ce"] == 1
    assert selected(partly, small, filters=[Margin(teacher="ce", margin=0.0)])[0]["q1"] == ["d3", "d1", "d2", "d4"]


def test_a_filter_refuses_a_scale_and_an_unknown_teacher(small: Collection) -> None:
    with pytest.raises(ScaleError, match="'percentage' cannot use the scores of teacher 'ce'"):
        selected(SCORED, small, filters=[Percentage(teacher="ce")])
    with pytest.raises(DataError, match=r"has no teacher 'cee'\n  seen: cee\n.*\n  next step: did you mean 'ce'\?"):
        selected(SCORED, small, filters=[Margin(teacher="cee")])


def test_sampling_takes_negatives_alone_and_follows_the_seed(small: Collection) -> None:
    many = rows_of({"q1": [("d1", 9.0, 1), *((f"d{i}", 8.0 - i, None) for i in (0, 2, 3, 4, 5, 6, 7, 8, 9))]})
    for sampler in (Random(num_negatives=4), Mixed(num_negatives=4, num_top=1)):
        draws = [tuple(selected(many, small, sampler=sampler, seed=seed)[0]["q1"]) for seed in range(6)]
        assert draws == [tuple(selected(many, small, sampler=sampler, seed=seed)[0]["q1"]) for seed in range(6)]
        assert all(draw[0] == "d1" and len(draw) == 5 for draw in draws)
        assert len(set(draws)) > 1
