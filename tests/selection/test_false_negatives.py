"""What the audit measures: known answers on tables made by hand, and what a person is shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from retkd.collections.base import Collection
from retkd.selection.false_negatives import measured, truth_of, wilson
from retkd.selection.filters import Absolute, Margin
from retkd.selection.judgements import Audited
from retkd.selection.samplers import TopK
from retkd.selection.samples import negatives_to_judge
from tests.conftest import opened
from tests.tables import beir, rows_of, scored

DOCUMENTS = {f"d{i}": f"text {i}" for i in range(10)}
QUERIES = {"q1": "one", "q2": "two", "q3": "three"}
OWN = {"q1": {"d0": 1}, "q2": {"d0": 2, "d1": 1, "d2": 0}}
HUMAN = {"q1": {"d0": 4, "d1": 3, "d2": 2, "d3": 1, "d4": 0}, "q3": {"d1": 4}}
LISTS = rows_of(
    {
        "q1": [(f"d{i}", 9.0 - i, 1 if i == 0 else None) for i in range(6)],
        "q2": [("d0", 9.0, 2), ("d1", 8.0, 1), ("d2", 7.0, 0), ("d3", 6.0, None)],
    }
)
CE = scored(LISTS, "ce", [5.0, 6.0, 1.0, 5.5, 0.0, 2.0, 3.0, 4.0, 1.0, 0.0])
MARGIN = Margin(teacher="ce", margin=0.0)


@pytest.fixture
def small(tmp_path: Path) -> Collection:
    return opened(beir(tmp_path / "c", DOCUMENTS, QUERIES, {"train": OWN, "human": HUMAN}), tmp_path / "cache")


def measure(collection: Collection, audited: Audited, *filters: Any, rows: Any = CE, num_negatives: int = 9) -> Any:
    rules: dict[str, Any] = {"teacher": None, "unlabelled": "drop", "seed": 0}
    sampler = TopK(num_negatives=num_negatives)
    return measured(rows, collection, "train", audited, filters=filters, sampler=sampler, **rules)


def counts(told: Any) -> tuple[int, int] | None:
    return None if told is None else (told["count"], told["of"])


def test_judgements_that_no_rule_has_seen(small: Collection) -> None:
    """q1 alone is in both. Relevant from grade 2: d1, d2 (d0 is known); not: d3, d4; d5 is unjudged and counts nowhere.

    The margin takes d1 (6 > 5, relevant) and d3 (5.5 > 5, not), keeps d2 and d4.
    """
    told = measure(small, Audited(judgements="human", relevant_from=2), MARGIN)
    assert (told["queries"], told["both"]) == (1, True)
    assert told["judgements"] == "of the split human, relevant from grade 2"
    assert counts(told["mined"]) == (2, 4)
    assert counts(told["sampled"]) == (1, 2)
    (row,) = told["filters"]
    assert row["filter"] == "margin filter on ce"
    assert [counts(row[name]) for name in ("recall", "precision", "kept")] == [(1, 2), (1, 2), (1, 2)]
    assert json.loads(json.dumps(told)) == told


def test_the_share_is_of_what_is_sampled(small: Collection) -> None:
    """Without a filter the two hardest of q1 are d1 and d2: both relevant."""
    told = measure(small, Audited(judgements="human", relevant_from=2), num_negatives=2)
    assert counts(told["sampled"]) == (2, 2)
    assert told["sampled"]["share"] == 1.0
    assert (told["sampled"]["low"], told["sampled"]["high"]) == wilson(2, 2)
    assert told["filters"] == []


def test_each_filter_alone_and_all_together(small: Collection) -> None:
    """Absolute at 0.5 takes all but d4. Together they take what one of them takes."""
    told = measure(small, Audited(judgements="human", relevant_from=2), MARGIN, Absolute(teacher="ce", max_score=0.5))
    rows = {row["filter"]: row for row in told["filters"]}
    assert list(rows) == ["margin filter on ce", "absolute filter on ce", "all filters together"]
    assert counts(rows["absolute filter on ce"]["recall"]) == (2, 2)
    assert counts(rows["absolute filter on ce"]["precision"]) == (2, 3)
    assert counts(rows["all filters together"]["kept"]) == (0, 1)


def test_one_positive_of_the_highest_grade_stays_known_and_the_rest_is_hidden(small: Collection) -> None:
    """q2: d0 is known; d1 (grade 1) and d2 (judged 0) are hidden. q1 has nothing to hide. ce: d1 at 4 > 3, d2 at 1."""
    truth = truth_of(small, "train", Audited(), seed=0)
    assert truth.known == {"q2": {"d0": 2}}
    assert truth.grades == {"q2": {"d1": 1, "d2": 0}}
    told = measure(small, Audited(), MARGIN)
    assert (told["queries"], counts(told["mined"]), counts(told["sampled"])) == (1, (1, 2), (0, 1))
    (row,) = told["filters"]
    assert [counts(row[name]) for name in ("recall", "precision", "kept")] == [(1, 1), (1, 1), (0, 1)]


def test_among_equal_grades_the_seed_draws_the_known_one(tmp_path: Path) -> None:
    own = {"train": {f"q{i}": {"d1": 1, "d2": 1} for i in range(40)}}
    made = opened(beir(tmp_path / "c", DOCUMENTS, {f"q{i}": "x" for i in range(40)}, own), tmp_path / "cache")
    known = [next(iter(grades)) for grades in truth_of(made, "train", Audited(), seed=0).known.values()]
    assert 8 <= known.count("d1") <= 32
    assert known == [next(iter(grades)) for grades in truth_of(made, "train", Audited(), seed=0).known.values()]


def test_a_hidden_positive_that_no_miner_found_is_not_measured(small: Collection) -> None:
    from retkd import candidates

    rows = [("q2", "d0", 1, 9.0, "made", 2), ("q2", "d2", 2, 7.0, "made", 0), ("q2", "d1", 3, 7.0, "qrels", 1)]
    assert measure(small, Audited(), rows=candidates.table(*zip(*rows, strict=True))) is None


def test_relevant_documents_alone_give_recall_and_nothing_else(tmp_path: Path) -> None:
    own = {"train": {"q2": {"d0": 2, "d1": 1}}}
    made = opened(beir(tmp_path / "c", DOCUMENTS, QUERIES, own), tmp_path / "cache")
    told = measure(made, Audited(), MARGIN)
    assert (told["both"], told["mined"], told["sampled"]) == (False, None, None)
    (row,) = told["filters"]
    assert (counts(row["recall"]), row["precision"], row["kept"]) == ((1, 1), None, None)


def test_without_graded_judgements_nothing_is_measured(tmp_path: Path) -> None:
    made = opened(beir(tmp_path / "c", DOCUMENTS, QUERIES, {"train": {"q1": {"d0": 1}}}), tmp_path / "cache")
    assert measure(made, Audited(), MARGIN) is None


def test_the_suspicious_negatives_come_first_and_all_are_shown_with_their_texts(small: Collection) -> None:
    """By ce: q1's d1 is 1 above its positive, d3 half, all others are below; q2's best positive is d0, at 3."""
    told = negatives_to_judge(CE, small, "train", 20, seed=0)
    assert len(told) == 7
    assert [(n["query_id"], n["negative"]["doc_id"], n["above"]) for n in told[:3]] == [
        ("q1", "d1", ["ce"]),
        ("q1", "d3", ["ce"]),
        ("q2", "d2", []),
    ]
    assert told[0]["scores"] == {"ce": {"negative": 6.0, "positive": 5.0}}
    assert (told[0]["query"], told[0]["positive"]["text"], told[0]["negative"]["text"]) == ("one", "text 0", "text 1")
    assert told[0]["negative"]["grade"] is None
    assert json.loads(json.dumps(told)) == told


def test_the_seed_draws_which_are_shown(small: Collection) -> None:
    def drawn(seed: int) -> set[tuple[str, str]]:
        shown = negatives_to_judge(CE, small, "train", 3, seed)
        return {(told["query_id"], told["negative"]["doc_id"]) for told in shown}

    assert drawn(1) == drawn(1)
    assert all(len(drawn(seed)) == 3 for seed in range(5))
    assert len({frozenset(drawn(seed)) for seed in range(5)}) > 1
    assert negatives_to_judge(CE.slice(0, 0), small, "train", 3, seed=0) == []


def test_a_long_text_is_cut_and_a_pair_without_a_score_is_not_above(tmp_path: Path) -> None:
    documents = {"d0": "short", "d1": "word " * 400}
    made = opened(beir(tmp_path / "c", documents, {"q1": "one"}, {"train": {"q1": {"d0": 1}}}), tmp_path / "cache")
    rows = scored(rows_of({"q1": [("d0", 2.0, 1), ("d1", 1.0, None)]}), "ce", [1.0, None])
    (told,) = negatives_to_judge(rows, made, "train", 5, seed=0)
    assert len(told["negative"]["text"]) < 710
    assert told["negative"]["text"].endswith("word …")
    assert (told["above"], told["scores"]) == ([], {"ce": {"negative": None, "positive": 1.0}})
