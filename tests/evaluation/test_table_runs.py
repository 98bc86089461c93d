"""Runs out of a candidates table."""

import numpy as np
import pyarrow as pa
import pytest

from retkd import candidates
from retkd.errors import DataError
from retkd.evaluation.table_runs import mined_run, reranked_run


def table(scores=(3.0, 2.0, 1.0, 5.0)):
    return candidates.table(
        ["q1", "q1", "q1", "q2"], ["a", "b", "c", "a"], [1, 2, 3, 1], scores, ["bm25"] * 4, [1, None, 0, None]
    )


def test_the_miners_ranking_is_a_run():
    assert mined_run(table(), 2) == {"q1": [("a", 3.0), ("b", 2.0)], "q2": [("a", 5.0)]}


def test_scores_that_do_not_follow_the_ranks_give_way_to_them():
    assert mined_run(table((1.0, 2.0, 3.0, 5.0)), 9)["q1"] == [("a", -1.0), ("b", -2.0), ("c", -3.0)]


def test_a_teacher_reranks_with_ties_by_rank_and_unscored_documents_last():
    rows = candidates.with_teacher(table(), "ce", np.array([-1.0, 2.0, -1.0, 0.5], np.float32), "logit")
    assert reranked_run(rows, "ce", 9)["q1"] == [("b", 2.0), ("a", -1.0), ("c", -1.0)]
    partly = candidates.with_teacher(table(), "ce", pa.array([None, None, 4.0, None], pa.float32()), "logit")
    assert reranked_run(partly, "ce", 9) == {"q1": [("c", 4.0), ("a", 3.0), ("b", 2.0)], "q2": [("a", -1.0)]}


def test_positives_that_no_miner_found_are_not_in_the_run():
    rows = candidates.table(["q", "q"], ["a", "b"], [1, 2], [2.0, 2.0], ["bm25", "qrels"], [0, 1])
    rows = candidates.with_teacher(rows, "ce", np.array([1.0, 9.0], np.float32), "logit")
    assert mined_run(rows, 9) == {"q": [("a", 2.0)]}
    assert reranked_run(rows, "ce", 9) == {"q": [("a", 1.0)]}


def test_a_teacher_that_did_not_score_the_table_is_an_error():
    with pytest.raises(DataError, match="has no teacher 'ce'"):
        reranked_run(table(), "ce", 9)
