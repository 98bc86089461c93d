"""Each calibration by hand, the scale it gives, and what it takes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from retkd.errors import DataError, ScaleError
from retkd.teachers.base import Rows
from retkd.teachers.ensemble import Ensemble
from retkd.teachers.isotonic import isotonic
from tests.conftest import MakeInputs
from tests.tables import rows_of, scored

LISTS = rows_of({"a": [("x", 3.0, 1), ("y", 2.0, None), ("z", 1.0, None)], "b": [("x", 2.0, None), ("y", 1.0, None)]})
ONE, TWO = [4.0, 0.0, 1.0, 8.0, 4.0], [0.0, 0.0, 6.0, -1.0, 1.0]
TABLE = scored(scored(LISTS, "one", ONE), "two", TWO)
DEV = rows_of({f"q{q}": [(f"d{q}", 2.0, 1), (f"d{q + 1}", 1.0, None)] for q in (18, 19)})


def judged(inputs: MakeInputs, table: Any = TABLE, dev: Any = None, **ensemble: Any) -> Any:
    splits = [Rows("train", table, np.arange(table.num_rows))]
    if dev is not None:
        splits.append(Rows("dev", dev, np.arange(dev.num_rows)))
    return Ensemble(**{"members": ["one", "two"], **ensemble}).judge("both", splits, inputs(), Path("unused"))


def test_min_max_by_hand(inputs: MakeInputs) -> None:
    found = judged(inputs, calibration={"kind": "min_max"})
    assert found.scores["train"] == pytest.approx(np.array([0.5, 0.0, (0.25 + 1) / 2, 0.5, 0.5]))
    assert found.scale == "unbounded"


def test_rank_fusion_by_hand_takes_what_only_ranks(inputs: MakeInputs) -> None:
    """List a: one ranks x, z, y; two ranks z first, then x and y, which tie, as the miner has them."""
    found = judged(inputs, scored(TABLE, "two", TWO, "rank"), calibration={"kind": "rank_fusion", "k": 1})
    assert found.scores["train"] == pytest.approx(
        np.array([1 / 2 + 1 / 3, 1 / 4 + 1 / 4, 1 / 3 + 1 / 2, 1 / 2 + 1 / 3, 1 / 3 + 1 / 2]) / 2
    )
    assert found.scale == "rank"


def test_softmax_is_the_log_of_a_mean_of_distributions(inputs: MakeInputs) -> None:
    """METHODS part 2, MT-DNN: equal teachers give the same as one, the order of teachers does not matter."""
    both = judged(inputs, calibration={"kind": "softmax"})
    assert np.exp(both.scores["train"])[:3].sum() == pytest.approx(1.0, abs=1e-6)
    assert both.scale == "log_probability"
    turned = judged(inputs, calibration={"kind": "softmax"}, members=["two", "one"])
    assert turned.scores["train"] == pytest.approx(both.scores["train"], abs=1e-6)
    alone = judged(inputs, calibration={"kind": "softmax"}, members=["one"])
    twice = judged(inputs, scored(TABLE, "two", ONE), calibration={"kind": "softmax"})
    assert twice.scores["train"] == pytest.approx(alone.scores["train"], abs=1e-6)
    expected = np.log([np.exp(1) / (np.exp(1) + np.exp(-1)), np.exp(-1) / (np.exp(1) + np.exp(-1))])
    assert alone.scores["train"][3:] == pytest.approx(expected, abs=1e-6)


def test_pools_by_hand() -> None:
    """Labels 1 0 | 1 1 0 | 1 by score: pools of mean 1/2, 2/3, 1; equal scores are one point."""
    curve = isotonic(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), np.array([1, 0, 1, 1, 0, 1]))
    assert curve.scores.tolist() == [1.0, 2.0, 3.0, 5.0, 6.0]
    assert curve.probabilities == pytest.approx([1 / 2, 1 / 2, 2 / 3, 2 / 3, 1.0])
    assert curve(np.array([-9.0, 2.5, 4.0, 99.0])) == pytest.approx([1 / 2, 7 / 12, 2 / 3, 1.0])
    tied = isotonic(np.array([1.0, 1.0, 2.0]), np.array([0, 1, 1]))
    assert tied.probabilities.tolist() == [0.5, 1.0]


def test_pools_equal_the_library_that_others_use() -> None:
    sklearn = pytest.importorskip("sklearn.isotonic")
    rng = np.random.default_rng(0)
    scores = np.round(rng.normal(size=300), 1)
    labels = (rng.random(300) < 1 / (1 + np.exp(-scores))).astype(int)
    asked = np.linspace(-4, 4, 97)
    theirs = sklearn.IsotonicRegression(out_of_bounds="clip").fit(scores, labels).predict(asked)
    assert isotonic(scores, labels)(asked) == pytest.approx(theirs, abs=1e-9)


def test_isotonic_gives_the_share_of_relevant_dev_rows(inputs: MakeInputs) -> None:
    """On dev, member one gives 9 to a relevant, 5 to a relevant and an unjudged, 1 to an unjudged row: 1, 1/2, 0."""
    dev = scored(scored(DEV, "one", [9.0, 5.0, 5.0, 1.0]), "two", [1.0, 0.0, 1.0, 0.0])
    found = judged(inputs, dev=dev, calibration={"kind": "isotonic"}, members=["one"])
    assert found.scores["dev"].tolist() == [1.0, 0.5, 0.5, 0.0]
    assert found.scores["train"] == pytest.approx(np.array([3 / 8, 0.0, 0.0, 7 / 8, 3 / 8]))
    assert found.scale == "probability"
    odds = judged(inputs, dev=dev, calibration={"kind": "isotonic", "log_odds": True}, members=["one"])
    assert odds.scores["dev"] == pytest.approx(np.array([np.log(7), 0.0, 0.0, -np.log(7)]), abs=1e-6)
    assert odds.scale == "logit"


def test_isotonic_without_dev_is_refused(inputs: MakeInputs) -> None:
    with pytest.raises(
        DataError, match=r"the calibration isotonic learns from the judgements of the split 'dev', which"
    ):
        judged(inputs, calibration={"kind": "isotonic"})


def test_isotonic_without_a_relevant_candidate_is_refused(inputs: MakeInputs) -> None:
    dev = rows_of({"q18": [("d1", 2.0, None), ("d2", 1.0, None)]})
    dev = scored(scored(dev, "one", [1.0, 2.0]), "two", [1.0, 2.0])
    with pytest.raises(
        DataError, match=r"no candidate there is judged relevant\n  seen: 1 judged queries, 2 candidates"
    ):
        judged(inputs, dev=dev, calibration={"kind": "isotonic"})


def test_nothing_is_fitted_to_test() -> None:
    with pytest.raises(ValidationError, match="the test split is what the evaluation reports"):
        Ensemble(members=["one"], calibration={"kind": "isotonic", "split": "test"})
    with pytest.raises(ValidationError, match="the test split is what the evaluation reports"):
        Ensemble(members=["one"], weights={"kind": "by_dev", "split": "test"})


def test_raw_scores_are_averaged_as_they_are(inputs: MakeInputs) -> None:
    """And two equal members give their own scores back, bit for bit."""
    found = judged(inputs, calibration={"kind": "raw", "of": "logit"})
    assert found.scores["train"].tolist() == [2.0, 0.0, 3.5, 3.5, 2.5]
    assert found.scale == "logit"
    third = [0.1, 0.7, 1 / 3, -0.9, 0.2]
    twice = scored(scored(LISTS, "one", third, "cosine"), "two", third, "cosine")
    same = judged(inputs, twice, calibration={"kind": "raw", "of": "cosine"}).scores["train"]
    assert same.tolist() == np.array(third, dtype=np.float32).tolist()


def test_raw_logits_may_be_averaged_as_probabilities(inputs: MakeInputs) -> None:
    found = judged(inputs, calibration={"kind": "raw", "of": "logit", "sigmoid": True})
    sigmoid = [1 / (1 + np.exp(-np.array(scores))) for scores in (ONE, TWO)]
    assert found.scores["train"] == pytest.approx(np.mean(sigmoid, axis=0), abs=1e-6)
    assert found.scale == "probability"
    with pytest.raises(
        ValidationError, match="`sigmoid` makes probabilities of logits; these members are of scale cosine"
    ):
        Ensemble(members=["one"], calibration={"kind": "raw", "of": "cosine", "sigmoid": True})


def test_raw_scores_of_two_scales_are_refused(inputs: MakeInputs) -> None:
    with pytest.raises(ScaleError, match="the calibration 'raw' cannot use the scores of teacher 'two'"):
        judged(inputs, scored(TABLE, "two", TWO, "cosine"), calibration={"kind": "raw", "of": "logit"})
