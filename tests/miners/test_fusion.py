"""Fusion rules with values worked out by hand."""

import numpy as np
import pytest

from retkd.miners.base import Ranking
from retkd.miners.fusion import interleaved, normalised, reciprocal_rank, weighted, with_quotas


def ranking(source: str, *doc_ids: str) -> Ranking:
    return Ranking(list(doc_ids), np.linspace(9, 1, len(doc_ids), dtype=np.float32), [source] * len(doc_ids))


def scored(source: str, **scores: float) -> Ranking:
    return Ranking(list(scores), np.array(list(scores.values()), dtype=np.float32), [source] * len(scores))


def test_the_sums_of_reciprocal_ranks_by_hand() -> None:
    found = reciprocal_rank([ranking("bm25", "a", "b", "c"), ranking("dense", "b", "d")], k=60.0, depth=10)
    assert found.doc_ids == ["b", "a", "d", "c"]
    assert found.scores == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62, 1 / 63], rel=1e-6)
    assert found.sources == ["bm25+dense", "bm25", "dense", "bm25"]


def test_equal_sums_stand_by_id_also_at_the_cut() -> None:
    lists = [ranking("bm25", "z", "m"), ranking("dense", "m", "z"), ranking("third", "a")]
    assert reciprocal_rank(lists, k=60.0, depth=10).doc_ids == ["m", "z", "a"]
    assert reciprocal_rank(lists, k=60.0, depth=1).doc_ids == ["m"]


def test_a_miner_that_found_nothing_changes_nothing() -> None:
    one, none = ranking("bm25", "a", "b"), ranking("dense")
    assert reciprocal_rank([one, none], 60.0, 5).doc_ids == ["a", "b"]
    assert weighted([one, none], [1.0, 3.0], "z_score", 5).doc_ids == ["a", "b"]
    assert interleaved([none, one], 5).doc_ids == ["a", "b"]
    for nothing in (reciprocal_rank([none, none], 60.0, 5), weighted([none] * 2, [1.0] * 2, "min_max", 5)):
        assert (nothing.doc_ids, len(nothing.scores)) == ([], 0)


def test_weighted_min_max_by_hand() -> None:
    """a: (30 - 10) / 20 = 1, b: 0.5, c: 0; b: 1, d: 0. A document outside of a list has 0 there."""
    lists = [scored("bm25", a=30, b=20, c=10), scored("dense", b=0.8, d=0.2)]
    found = weighted(lists, [0.4, 2.0], "min_max", 10)
    assert found.doc_ids == ["b", "a", "c", "d"]
    assert found.scores == pytest.approx([0.4 * 0.5 + 2.0, 0.4, 0.0, 0.0], abs=1e-6)
    assert found.sources == ["bm25+dense", "bm25", "bm25", "dense"]
    assert weighted(lists, [0.4, 2.0], "min_max", 2).doc_ids == ["b", "a"]


def test_weighted_z_scores_by_hand() -> None:
    """bm25: mean 20, deviation sqrt(200 / 3); dense: mean 0.5, deviation 0.3. Outside of a list: its least."""
    unit = 10 / np.sqrt(200 / 3)
    lists = [scored("bm25", a=30, b=20, c=10), scored("dense", b=0.8, d=0.2)]
    found = weighted(lists, [1.0, 0.5], "z_score", 10)
    by_hand = {"a": unit - 0.5, "b": 0.0 + 0.5, "c": -unit - 0.5, "d": -unit - 0.5}
    assert found.doc_ids == ["a", "b", "c", "d"]
    assert found.scores == pytest.approx([by_hand[doc_id] for doc_id in found.doc_ids], rel=1e-6)


@pytest.mark.parametrize(("kind", "one", "absent"), [("min_max", 1.0, 0.0), ("z_score", 0.0, 0.0)])
def test_a_list_of_equal_scores(kind: str, one: float, absent: float) -> None:
    scores, outside = normalised(np.full(3, 7.0, np.float32), kind)  # type: ignore[arg-type]
    assert (scores.tolist(), outside) == ([one] * 3, absent)


def test_interleaving_takes_turns_and_keeps_the_source_that_brought_it() -> None:
    lists = [ranking("a", "x", "y", "z"), ranking("b", "y", "x", "w", "v"), ranking("c")]
    found = interleaved(lists, 10)
    assert found.doc_ids == ["x", "y", "z", "w", "v"]
    assert found.sources == ["a", "b", "a", "b", "b"]
    assert found.scores == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    assert interleaved(lists, 3).doc_ids == ["x", "y", "z"]


def test_quotas_bring_the_best_of_each_and_the_fused_order_fills_up() -> None:
    lists = {"a": ranking("a", "p", "q", "r", "s"), "b": ranking("b", "p", "x", "y", "z")}
    fused = reciprocal_rank(list(lists.values()), 60.0, 100)
    assert fused.doc_ids == ["p", "q", "x", "r", "y", "s", "z"]
    assert with_quotas(fused, lists, {"b": 4}, 5).doc_ids == ["p", "q", "x", "y", "z"]
    assert with_quotas(fused, lists, {"a": 2, "b": 3}, 5).doc_ids == ["p", "q", "x", "y", "z"]
    assert with_quotas(fused, lists, {"b": 3, "a": 2}, 5).doc_ids == ["p", "q", "x", "r", "y"]
    assert with_quotas(fused, lists, {"a": 9}, 9).doc_ids == fused.doc_ids
    assert with_quotas(fused, lists, {"a": 1}, 3).sources == ["a+b", "a", "b"]
