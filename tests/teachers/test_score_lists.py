"""Lists side by side: values by hand, rows in any order."""

import numpy as np
import pytest

from retkd.teachers.score_lists import (
    kendall_tau,
    list_ranks,
    min_max_lists,
    rows_of_lists,
    softmax_lists,
    standardised_lists,
)

IDS = np.array(["b", "a", "b", "a", "a"])
SCORES = np.array([4.0, 1.0, 2.0, 3.0, 2.0])


def test_rows_of_a_query_need_not_be_adjacent() -> None:
    order = np.argsort(IDS, kind="stable")
    for function in (standardised_lists, min_max_lists, softmax_lists, list_ranks):
        assert function(IDS, SCORES)[order].tolist() == function(IDS[order], SCORES[order]).tolist()
    assert [rows.tolist() for rows in rows_of_lists(IDS)] == [[1, 3, 4], [0, 2]]


def test_no_rows_at_all() -> None:
    assert list(rows_of_lists(np.array([], dtype=object))) == []
    assert len(min_max_lists(np.array([], dtype=object), np.array([]))) == 0


def test_the_softmax_has_a_temperature_and_does_not_overflow() -> None:
    """Scores 0 and 2 log 3 at temperature 2: 1 to 3."""
    assert softmax_lists(np.array(["a", "a"]), np.array([0.0, 2 * np.log(3)]), 2.0) == pytest.approx([0.25, 0.75])
    assert softmax_lists(np.array(["a", "a"]), np.array([0.0, 1e5])).tolist() == [0.0, 1.0]


def test_taus_by_hand() -> None:
    """With a tie in one list of three: (2 right - 0 wrong) / sqrt(3 * 2)."""
    assert kendall_tau(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0])) == 1.0
    assert kendall_tau(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == -1.0
    assert kendall_tau(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, 1.0])) == pytest.approx(2 / np.sqrt(6))
    assert np.isnan(kendall_tau(np.array([1.0, 2.0]), np.array([1.0, 1.0])))
