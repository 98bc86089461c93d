"""SimANS and TAS-B: what they draw, and how often. Rank-DistiLLM's order samplers beside them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from retkd.collections.base import Collection
from retkd.errors import DataError, ScaleError
from retkd.selection.distance_samplers import TASB, SimANS, margin_bins, simans_logs
from retkd.selection.rules import select
from retkd.selection.samplers import LogRandom, Mixed, Sampler, TopAndRandom, TopK, generator_for, weighted
from tests.conftest import opened
from tests.tables import beir, pairs, rows_of, scored

SCORES = np.array([2.5, 2.0, 1.0, -1.0])
METHODS = [0.3529795, 0.3999781, 0.2425990, 0.0044434]
"""METHODS.md 1.18, SimANS: s_pos = 2, a = 0.5, b = 0."""


def shares(sampler: Sampler, scores: np.ndarray, positive: float, draws: int = 1500) -> np.ndarray:
    """How often each position is drawn."""
    counts = np.zeros(len(scores))
    for query in range(draws):
        counts[sampler.choose(scores, positive, generator_for(7, str(query)))] += 1
    return counts / draws


def within(found: np.ndarray, expected: Any, draws: int = 1500) -> bool:
    """Within four standard deviations of a share."""
    expected = np.asarray(expected)
    return bool((np.abs(found - expected) <= 4 * np.sqrt(expected * (1 - expected) / draws) + 1e-12).all())


def test_simans_weighs_as_in_methods() -> None:
    weights = np.exp(simans_logs(SCORES, 2.0, a=0.5, b=0.0))
    assert (weights / weights.sum()).tolist() == pytest.approx(METHODS, abs=1e-7)


@pytest.mark.parametrize("replacement", [False, True])
def test_simans_draws_one_by_these_weights(replacement: bool) -> None:
    assert within(shares(SimANS(num_negatives=1, a=0.5, replacement=replacement), SCORES, 2.0), METHODS)


def test_simans_with_a_0_is_uniform() -> None:
    assert within(shares(SimANS(num_negatives=2, a=0.0), np.array([9.0, 3.0, 0.0, -50.0]), 1.0), [0.5] * 4)


def test_simans_does_not_see_a_shift_and_is_likeliest_at_the_positive_plus_b() -> None:
    sampler = SimANS(num_negatives=2, a=0.5, b=-1.0)
    for query in ("q1", "q2", "q3"):
        one = sampler.choose(SCORES, 2.0, generator_for(0, query))
        assert one.tolist() == sampler.choose(SCORES + 64.0, 66.0, generator_for(0, query)).tolist()
    assert int(simans_logs(SCORES, 2.0, a=0.5, b=-1.0).argmax()) == 2


def test_simans_with_replacement_may_give_fewer_and_without_never() -> None:
    """A weight of e^-1000 is zero as a float, and is drawn all the same when nothing else is left."""
    scores = np.array([1.0, -999.0])
    for query in range(20):
        assert SimANS(num_negatives=2, a=1.0).choose(scores, 1.0, generator_for(0, str(query))).tolist() == [0, 1]
        repeated = SimANS(num_negatives=2, a=1.0, replacement=True).choose(scores, 1.0, generator_for(0, str(query)))
        assert repeated.tolist() == [0]


def test_margins_are_binned_and_the_greatest_is_in_the_last_bin() -> None:
    assert margin_bins(np.arange(11.0), 10).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]
    assert margin_bins(np.array([4.0, 4.0]), 10).tolist() == [0, 0]
    assert margin_bins(np.zeros(0), 10).tolist() == []


def test_tas_b_is_uniform_over_bins_that_are_not_empty() -> None:
    """Margins 0 (six times), 5 and 10 in ten bins: each of three bins a third, so each of the six a eighteenth."""
    scores = np.array([10.0] * 6 + [5.0, 0.0])
    assert within(shares(TASB(num_negatives=1, by="ce"), scores, 10.0), [1 / 18] * 6 + [1 / 3] * 2)


def test_tas_b_draws_without_replacement_until_none_is_left() -> None:
    scores = np.array([3.0, 3.0, 3.0, 0.0])
    for query in range(30):
        drawn = TASB(num_negatives=3).choose(scores, 4.0, generator_for(0, str(query))).tolist()
        assert len(set(drawn)) == 3
    assert TASB(num_negatives=9).choose(scores, 4.0, generator_for(0, "q")).tolist() == [0, 1, 2, 3]
    assert TASB(num_negatives=9).choose(scores[:0], 4.0, generator_for(0, "q")).tolist() == []


def test_log_random_by_hand() -> None:
    """1 / log(1 + r) for ranks 1, 2, 3: 1.442695, 0.910239, 0.721348 of 3.074282."""
    found = shares(LogRandom(num_negatives=1), np.zeros(3), 0.0)
    assert within(found, [0.469279, 0.296082, 0.234639])


def test_weighted_draws_one_after_the_other() -> None:
    """Weights 1, 2, 3, two of them: the first is left out when 2 and 3 come: 2/6 * 3/4 + 3/6 * 2/3 = 7/12."""
    left_out = np.zeros(3)
    for query in range(1500):
        drawn = weighted(np.log([1.0, 2.0, 3.0]), 2, generator_for(1, str(query)))
        left_out[np.setdiff1d(np.arange(3), drawn)] += 1
    assert within(left_out / 1500, [7 / 12, 3 / 6 * 1 / 3 + 1 / 6 * 3 / 5, 2 / 6 * 1 / 4 + 1 / 6 * 2 / 5])


def test_top_and_random_is_half_the_hardest() -> None:
    draws = [TopAndRandom(num_negatives=5).sample(30, generator_for(0, str(q))).tolist() for q in range(40)]
    assert all(draw[:3] == [0, 1, 2] and len(draw) == 5 for draw in draws)
    assert len({tuple(draw[3:]) for draw in draws}) > 20


def test_mixed_has_its_share_of_easy_ones() -> None:
    """Ten in the list: two hardest, two of the last five, one of the rest."""
    sampler = Mixed(num_negatives=5, num_top=2, num_easy=2)
    for query in range(40):
        draw = sampler.sample(10, generator_for(0, str(query))).tolist()
        assert draw[:2] == [0, 1]
        assert len(draw) == len(set(draw)) == 5
        assert sum(position >= 5 for position in draw) >= 2
    assert sampler.sample(3, generator_for(0, "q")).tolist() == [0, 1, 2]
    with pytest.raises(ValidationError, match="num_top 3 and num_easy 3 are more than num_negatives 5"):
        Mixed(num_negatives=5, num_top=3, num_easy=3)


DOCUMENTS = {f"d{i}": f"text {i}" for i in range(6)}
ROWS = rows_of({"q1": [("d0", 9.0, 1), ("d1", 8.0, None), ("d2", 7.0, None), ("d3", 6.0, None)]})
CE = [0.0, -3.0, 5.0, 1.0]


@pytest.fixture
def small(tmp_path: Path) -> Collection:
    return opened(beir(tmp_path / "c", DOCUMENTS, {"q1": "one"}, {"train": {"q1": {"d0": 1}}}), tmp_path / "cache")


def negatives(rows: Any, collection: Collection, sampler: Sampler) -> list[str]:
    rules: dict[str, Any] = {"filters": [], "teacher": None, "unlabelled": "drop", "seed": 0}
    chosen = select(rows, collection, "train", sampler=sampler, **rules)
    return [doc_id for _, doc_id in pairs(chosen.rows) if doc_id != "d0"]


def test_what_is_hard_can_be_the_teachers_word(small: Collection) -> None:
    """The rows stay in the miner's order."""
    rows = scored(ROWS, "ce", CE)
    assert negatives(rows, small, TopK(num_negatives=2)) == ["d1", "d2"]
    assert negatives(rows, small, TopK(num_negatives=2, by="ce")) == ["d2", "d3"]
    assert negatives(rows, small, TopK(num_negatives=1, skip=2, by="ce")) == ["d1"]


def test_distances_are_to_the_best_positive_of_the_same_scorer(small: Collection) -> None:
    """At a = 100 the nearest: to ce's 0 it is d3 at 1, to the miner's 9 it is d1 at 8."""
    rows = scored(ROWS, "ce", CE)
    assert negatives(rows, small, SimANS(num_negatives=1, a=100.0, by="ce")) == ["d3"]
    assert negatives(rows, small, SimANS(num_negatives=1, a=100.0)) == ["d1"]


def test_a_sampler_needs_its_scores(small: Collection) -> None:
    with pytest.raises(DataError) as error:
        negatives(scored(ROWS, "ce", [0.0, None, 1.0, 2.0]), small, TopK(num_negatives=1, by="ce"))
    assert str(error.value) == (
        "the sampler 'top_k' goes by the scores of teacher 'ce', and possible negatives have none\n"
        "  where: query_id 'q1'\n"
        "  seen: 1 of 3 rows without a score\n"
        "  next step: drop them with `teacher: ce` in this stage, or score deeper"
    )
    with pytest.raises(ScaleError, match="the sampler 'tas_b' cannot use the scores of teacher 'ce'"):
        negatives(scored(ROWS, "ce", CE, "rank"), small, TASB(num_negatives=1, by="ce"))
    with pytest.raises(DataError, match="has no teacher 'cc'"):
        negatives(scored(ROWS, "ce", CE), small, TopK(num_negatives=1, by="cc"))


def test_a_positive_that_no_miner_found_has_no_score_of_the_miner(small: Collection) -> None:
    """The table gives it the lowest of the list, which is nobody's judgement."""
    rows = [("q1", "d1", 1, 8.0, "made", None), ("q1", "d2", 2, 7.0, "made", None), ("q1", "d0", 3, 7.0, "qrels", 1)]
    from retkd import candidates

    made = candidates.table(*zip(*rows, strict=True))
    assert negatives(made, small, TopK(num_negatives=1)) == ["d1"]
    with pytest.raises(DataError) as error:
        negatives(made, small, SimANS(num_negatives=1))
    assert str(error.value).startswith(
        "the sampler 'simans' compares with the score of a positive, and the miner has scored none\n"
    )
    assert "next step: set `by: TEACHER`" in str(error.value)
    assert negatives(scored(made, "ce", [1.0, 0.0, 1.0]), small, SimANS(num_negatives=1, a=90.0, by="ce")) == ["d1"]
