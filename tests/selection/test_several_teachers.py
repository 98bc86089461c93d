"""Filters that look at more than one teacher's score: consensus, agreement, ranks, denoising."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from retkd.collections.base import Collection
from retkd.errors import DataError, ScaleError
from retkd.selection.consensus import Agreement, Consensus, kendall_tau
from retkd.selection.denoise import Denoise
from retkd.selection.filters import Absolute, Margin, RankRange
from retkd.selection.lists import Lists
from retkd.selection.rules import select
from retkd.selection.samplers import TopK
from tests.conftest import opened
from tests.tables import beir, pairs, rows_of, scored

QRELS = {"train": {"q1": {"d0": 1}, "q2": {"d1": 1}}}
DOCUMENTS = {f"d{i}": f"text {i}" for i in range(8)}
ROWS = rows_of({"q1": [(f"d{i}", 9.0 - i, 1 if i == 0 else None) for i in range(5)]})
"""d0 is the positive; d1 to d4 stand at ranks 2 to 5."""
CE, BI = [2.0, 3.0, 1.5, 0.0, None], [0.8, 0.7, 0.9, 0.1, 0.2]
TWO = scored(scored(ROWS, "ce", CE), "bi", BI, "cosine")
"""Below the positive by 1 (ce): d3; d2 and d1 are not. By 0.05 (bi): d1, d3, d4; d2 is not. ce has not scored d4."""
RULES = [Margin(teacher="ce", margin=1.0), Margin(teacher="bi", margin=0.05)]


@pytest.fixture
def small(tmp_path: Path) -> Collection:
    return opened(beir(tmp_path / "small", DOCUMENTS, {"q1": "one", "q2": "two"}, QRELS), tmp_path / "cache")


def selected(rows: Any, collection: Collection, *filters: Any, unlabelled: str = "drop") -> Any:
    rules: dict[str, Any] = {"sampler": TopK(num_negatives=9), "teacher": None, "unlabelled": unlabelled, "seed": 0}
    return select(rows, collection, "train", filters=filters, **rules)


def test_all_must_agree_and_no_score_is_no_vote() -> None:
    """Votes: d0 (positive, not asked) -, d1 1, d2 0, d3 2, d4 1."""
    for agree, kept in ((None, [3]), (2, [3]), (1, [1, 3, 4])):
        mask = Consensus(rules=RULES, agree=agree).kept(Lists.of(TWO))
        assert [row for row in np.flatnonzero(mask) if row] == kept


def test_the_consensus_says_how_many_rows_it_took(small: Collection) -> None:
    chosen = selected(TWO, small, Consensus(rules=RULES, agree=1))
    assert [d for _, d in pairs(chosen.rows)] == ["d0", "d1", "d3", "d4"]
    assert chosen.dropped == {"consensus filter on ce, bi": 1}


def test_each_rule_of_a_consensus_checks_its_own_scale() -> None:
    mixed = Consensus(rules=[Absolute(teacher="ce", max_score=1.0), Margin(teacher="bi")])
    mixed.check(TWO)
    with pytest.raises(ScaleError, match="the filter 'margin' cannot use the scores of teacher 'bi'"):
        mixed.check(scored(TWO, "bi", BI, "rank"))
    with pytest.raises(ValidationError, match="agree 3 is more than the 2 rules"):
        Consensus(rules=RULES, agree=3)


def test_kendalls_tau_by_hand() -> None:
    """Three pairs, one of them turned: (2 - 1) / 3. A tie in one: (2 - 0) / sqrt(3 * 2). What is NaN does not count."""
    one = np.array([3.0, 2.0, 1.0])
    assert kendall_tau(one, np.array([5.0, 6.0, 1.0])) == pytest.approx(1 / 3)
    assert kendall_tau(one, np.array([5.0, 5.0, 1.0])) == pytest.approx(2 / 6**0.5)
    assert kendall_tau(one, -one) == -1.0
    assert kendall_tau(one, np.zeros(3)) == 0.0
    assert kendall_tau(np.array([3.0, np.nan, 1.0]), np.array([3.0, 9.0, 1.0])) == 1.0


def test_lists_on_which_two_teachers_disagree_go_as_a_whole(small: Collection) -> None:
    """q1: the same order; q2: the reverse. Positives go too; a lower limit never drops more."""
    rows = rows_of({q: [(f"d{i}", 3.0 - i, int(i == n)) for i in range(3)] for n, q in enumerate(("q1", "q2"))})
    rows = scored(scored(rows, "a", [3, 2, 1, 3, 2, 1]), "b", [9, 8, 7, 7, 8, 9])
    chosen = selected(rows, small, Agreement(teachers=("a", "b"), min_tau=0.5))
    assert {q for q, _ in pairs(chosen.rows)} == {"q1"}
    assert chosen.dropped == {"agreement filter on a, b": 3}
    counts = [selected(rows, small, Agreement(teachers=("a", "b"), min_tau=t)).rows.num_rows for t in (-1.0, 0.0, 1.0)]
    assert counts == [6, 3, 3]
    with pytest.raises(DataError, match="has no teacher 'c'"):
        selected(rows, small, Agreement(teachers=("a", "c")))


def test_a_range_of_ranks(small: Collection) -> None:
    chosen = selected(ROWS, small, RankRange(min_rank=3, max_rank=4))
    assert [d for _, d in pairs(chosen.rows)] == ["d0", "d2", "d3"]
    assert chosen.dropped == {"rank_range filter": 2}
    assert selected(ROWS, small, RankRange(min_rank=4)).dropped == {"rank_range filter": 2}
    with pytest.raises(ValidationError, match="max_rank 2 is less than min_rank 3"):
        RankRange(min_rank=3, max_rank=2)


PROBABILITIES = [0.95, 0.97, 0.5, 0.099, 0.101]


def test_a_denoised_negative_is_one_that_the_teacher_is_sure_of(small: Collection) -> None:
    """Below 0.1. The logits of the same probabilities give the same."""
    logits = [float(np.log(p / (1 - p))) for p in PROBABILITIES]
    for values, scale in ((PROBABILITIES, "probability"), (logits, "logit")):
        chosen = selected(scored(ROWS, "ce", values, scale), small, Denoise(teacher="ce"))  # type: ignore[arg-type]
        assert [d for _, d in pairs(chosen.rows)] == ["d0", "d3"]
        assert chosen.dropped == {"denoise filter on ce": 3}
        assert chosen.num_pseudo_positives == 0


def test_what_the_teacher_has_not_scored_is_no_denoised_negative(small: Collection) -> None:
    chosen = selected(scored(ROWS, "ce", [0.9, 0.01, None, 0.01, None], "probability"), small, Denoise(teacher="ce"))
    assert [d for _, d in pairs(chosen.rows)] == ["d0", "d1", "d3"]


def test_pseudo_positives_when_they_are_asked_for(small: Collection) -> None:
    """d1 at 0.97 becomes a positive that is marked as such; d2, judged not relevant, does not, whatever the teacher says."""
    rows = rows_of({"q1": [("d0", 9.0, 1), ("d1", 8.0, None), ("d2", 7.0, 0), ("d3", 6.0, None)]})
    rows = scored(rows, "ce", [0.95, 0.97, 0.99, 0.01], "probability")
    chosen = selected(rows, small, Denoise(teacher="ce", pseudo_positives=True))
    assert [(r["doc_id"], r["relevance"], r["source"]) for r in chosen.rows.to_pylist()] == [
        ("d0", 1, "made"),
        ("d1", 1, "made+pseudo"),
        ("d3", None, "made"),
    ]
    assert chosen.num_pseudo_positives == 1


def test_an_unlabelled_query_can_gain_its_only_positive(small: Collection) -> None:
    rows = scored(rows_of({"q2": [("d5", 2.0, None), ("d6", 1.0, None)]}), "ce", [0.91, 0.02], "probability")
    chosen = selected(rows, small, Denoise(teacher="ce", pseudo_positives=True))
    assert [r["relevance"] for r in chosen.rows.to_pylist()] == [1, None]
    assert selected(rows, small, Denoise(teacher="ce")).rows.num_rows == 0


def test_a_cosine_is_no_probability(small: Collection) -> None:
    with pytest.raises(ScaleError) as error:
        selected(scored(ROWS, "bi", BI, "cosine"), small, Denoise(teacher="bi"))
    assert str(error.value) == (
        "the filter 'denoise' cannot use the scores of teacher 'bi'\n"
        "  where: column teacher.bi\n"
        "  seen: scale 'cosine'\n"
        "  allowed: probability, logit\n"
        "  next step: take a teacher whose score is a probability of relevance, or its logit; for others use "
        "{kind: margin, margin: ...}"
    )
    with pytest.raises(ValidationError, match=r"positive_above 0\.2 is less than negative_below 0\.5"):
        Denoise(teacher="ce", negative_below=0.5, positive_above=0.2)
