"""Sparse targets: draws are right on average, the top k are not."""

import numpy as np
import pytest
from pydantic import ValidationError

from retkd import candidates
from retkd.errors import DataError, ScaleError
from retkd.selection.sparse_lists import sparse_lists
from retkd.selection.targets import Sampled, TopK
from tests.tables import pairs, rows_of, scored

SCORES = np.array([3.0, 1.0, 2.0, 0.0, -1.0])
P = np.array([0.6364, 0.0861, 0.2341, 0.0317, 0.0117])
"""METHODS part 2, RS-KD: softmax of the scores."""


def mean_of_draws(target: Sampled, num_times: int = 20_000) -> np.ndarray:
    generator = np.random.default_rng(0)
    return np.mean([target.weights(SCORES, generator) for _ in range(num_times)], axis=0)


def test_twenty_thousand_times_twelve_draws_give_p() -> None:
    """METHODS part 2: (.6363, .0856, .2345, .0318, .0118) with another generator; one standard error is at most 0.001."""
    found = mean_of_draws(Sampled(teacher="ce", num_draws=12))
    assert found == pytest.approx(P, abs=0.004)
    assert found == pytest.approx(np.array([0.6363, 0.0856, 0.2345, 0.0318, 0.0118]), abs=0.004)


def test_a_wider_proposal_is_unbiased_too_and_reaches_the_tail_more_often() -> None:
    plain, wide = Sampled(teacher="ce"), Sampled(teacher="ce", proposal_temperature=2.0)
    assert mean_of_draws(wide) == pytest.approx(P, abs=0.006)
    generators = [np.random.default_rng(1), np.random.default_rng(1)]
    tails = [
        np.mean([target.weights(SCORES, generator)[4] > 0 for _ in range(2000)])
        for target, generator in zip((plain, wide), generators, strict=True)
    ]
    assert tails[1] > 2 * tails[0]


def test_the_top_two_are_biased() -> None:
    """METHODS part 2: top 2 renormalised gives (.731, 0, .269, 0, 0)."""
    found = TopK(teacher="ce", k=2).weights(SCORES, np.random.default_rng(0))
    assert found == pytest.approx(np.array([0.731, 0.0, 0.269, 0.0, 0.0]), abs=5e-4)
    assert np.abs(found - P).max() > 0.08


def test_the_top_of_ties_is_the_miners() -> None:
    assert TopK(teacher="ce", k=1).weights(np.array([1.0, 2.0, 2.0]), np.random.default_rng(0)).tolist() == [0, 1, 0]


def test_the_temperature_is_the_teachers() -> None:
    found = TopK(teacher="ce", k=5, temperature=2.0).weights(SCORES, np.random.default_rng(0))
    assert found == pytest.approx(np.exp(SCORES / 2) / np.exp(SCORES / 2).sum())


ROWS = scored(
    rows_of(
        {
            "a": [("p", 9.0, 1), *((f"n{i}", 8.0 - i, None) for i in range(6))],
            "b": [("x", 2.0, None), ("y", 1.0, None)],
            "c": [("z", 1.0, 1)],
        }
    ),
    "ce",
    [-50.0, 9.0, 0.0, 8.5, 0.0, 0.0, None, 4.0, 4.0, 1.0],
)


def test_what_carries_weight_stays_with_the_positive_and_one_more() -> None:
    found, dropped = sparse_lists(ROWS, {"head": TopK(teacher="ce", k=2)}, 1, seed=13)
    assert pairs(found) == [("a", "p"), ("a", "n0"), ("a", "n1"), ("a", "n2"), ("b", "x"), ("b", "y")]
    weights = found["teacher.head"].to_pylist()
    assert weights[0] == weights[2] == 0.0
    assert weights[1] + weights[3] == pytest.approx(1.0)
    assert weights[4:] == [0.5, 0.5]
    assert candidates.scale_of(found, "head") == "distribution"
    assert dropped == {
        "not scored by ce": 1,
        "no weight in a target": 2,
        "a single candidate left for the query": 1,
    }


def test_all_undrawn_rows_may_stay() -> None:
    found, dropped = sparse_lists(ROWS, {"head": TopK(teacher="ce", k=1)}, None, seed=13)
    assert found.num_rows == 8
    assert "no weight in a target" not in dropped


def test_draws_depend_on_the_seed_the_name_and_the_query_alone() -> None:
    target = Sampled(teacher="ce", num_draws=3, temperature=10.0)
    whole, _ = sparse_lists(ROWS, {"one": target, "two": target}, None, seed=1)
    part, _ = sparse_lists(ROWS.slice(0, 7), {"one": target}, None, seed=1)
    other, _ = sparse_lists(ROWS, {"one": target}, None, seed=2)
    assert whole["teacher.one"].to_pylist()[:6] == part["teacher.one"].to_pylist()
    assert whole["teacher.one"].to_pylist() != whole["teacher.two"].to_pylist()
    assert whole["teacher.one"].to_pylist() != other["teacher.one"].to_pylist()


def test_a_teacher_that_only_ranks_has_no_distribution() -> None:
    with pytest.raises(ScaleError, match=r"the target 't' cannot use the scores of teacher 'r'"):
        sparse_lists(scored(ROWS, "r", [1.0] * 10, "rank"), {"t": TopK(teacher="r")}, 1, seed=0)


def test_a_target_does_not_take_a_teachers_place() -> None:
    with pytest.raises(DataError, match=r"has a teacher 'ce' already, and the target would take its place"):
        sparse_lists(ROWS, {"ce": TopK(teacher="ce")}, 1, seed=0)


def test_no_draws_are_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        Sampled(teacher="ce", num_draws=0)
