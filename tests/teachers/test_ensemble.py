from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retkd.errors import DataError, ScaleError
from retkd.teachers.base import Rows
from retkd.teachers.ensemble import Ensemble
from retkd.teachers.score_lists import standardised_lists
from tests.conftest import MakeInputs
from tests.tables import rows_of, scored

LISTS = rows_of({"a": [("x", 3.0, 1), ("y", 2.0, None), ("z", 1.0, None)], "b": [("x", 2.0, None), ("y", 1.0, None)]})


def judged(ensemble: Ensemble, table: Any, inputs: MakeInputs, chosen: list[int] | None = None) -> Any:
    rows = Rows("train", table, np.arange(table.num_rows) if chosen is None else np.array(chosen))
    return ensemble.judge("both", [rows], inputs(), Path("unused"))


def test_the_weighted_mean_of_standardised_lists_by_hand(inputs: MakeInputs) -> None:
    """List a: one is (3, 1, 2) -> (1, -1, 0) * sqrt(3/2), two is (0, 0, 6) -> (-1, -1, 2) / sqrt(2). List b: (1, -1)."""
    table = scored(scored(LISTS, "one", [3.0, 1.0, 2.0, 8.0, 4.0]), "two", [0.0, 0.0, 6.0, -1.0, 1.0], "cosine")
    found = judged(Ensemble(members={"one": 3.0, "two": 1.0}), table, inputs)
    one = np.sqrt(1.5) * np.array([1.0, -1.0, 0.0])
    two = np.array([-1.0, -1.0, 2.0]) / np.sqrt(2.0)
    expected = [*((3 * one + two) / 4), (3 - 1) / 4, (-3 + 1) / 4]
    assert found.scores["train"] == pytest.approx(np.array(expected), abs=1e-6)
    assert found.scale == "standardised"


def test_neither_shift_nor_scale_of_a_member_matters(inputs: MakeInputs) -> None:
    values, other = np.array([3.0, 1.0, 2.0, 8.0, 4.0]), [0.1, 0.5, 0.2, 0.9, 0.3]
    plain = scored(scored(LISTS, "one", list(values)), "two", other)
    moved = scored(scored(LISTS, "one", list(values * 50 - 7)), "two", other)
    ensemble = Ensemble(members={"one": 1.0, "two": 1.0})
    assert judged(ensemble, moved, inputs).scores["train"] == pytest.approx(
        judged(ensemble, plain, inputs).scores["train"], abs=1e-5
    )


def test_a_constant_list_adds_nothing() -> None:
    assert standardised_lists(np.array(["a", "a", "b"]), np.array([0.1, 0.1, 7.0])).tolist() == [0.0, 0.0, 0.0]


def test_only_chosen_rows_count(inputs: MakeInputs) -> None:
    """Of list a the first two, (3, 1) -> (1, -1), though its third was scored too."""
    table = scored(LISTS, "one", [3.0, 1.0, 900.0, None, None])
    assert judged(Ensemble(members={"one": 1.0}), table, inputs, [0, 1]).scores["train"].tolist() == [1.0, -1.0]


def test_a_member_with_a_gap_is_refused(inputs: MakeInputs) -> None:
    table = scored(LISTS, "one", [3.0, None, 2.0, 8.0, 4.0])
    with pytest.raises(DataError, match=r"the ensemble's member 'one' has not scored every row\n  where: split train"):
        judged(Ensemble(members={"one": 1.0}), table, inputs)


def test_a_member_that_only_ranks_is_refused(inputs: MakeInputs) -> None:
    table = scored(LISTS, "one", [3.0, 2.0, 1.0, 2.0, 1.0], "rank")
    with pytest.raises(ScaleError, match=r"cannot take a teacher that only ranks\n  seen: one"):
        judged(Ensemble(members={"one": 1.0}), table, inputs)


def test_an_unknown_member_is_refused(inputs: MakeInputs) -> None:
    table = scored(LISTS, "cross", [3.0, 2.0, 1.0, 2.0, 1.0])
    with pytest.raises(DataError, match=r"has no teacher 'cros'\n(.*\n)*  next step: did you mean 'cross'\?"):
        judged(Ensemble(members={"cros": 1.0}), table, inputs)


def test_a_gap_can_be_the_members_lowest_score_of_the_list(inputs: MakeInputs) -> None:
    """The relaxed scores of DiSCo from several teachers: mean of min-max lists over the union of their candidates.

    List a: one is (3, -, 1) -> (3, 1, 1) -> (1, 0, 0), two is (-, 8, 4) -> (4, 8, 4) -> (0, 1, 0). List b: one has
    ranked nothing of it and says nothing, two is (-1, 1) -> (0, 1).
    """
    table = scored(scored(LISTS, "one", [3.0, None, 1.0, None, None]), "two", [None, 8.0, 4.0, -1.0, 1.0])
    ensemble = Ensemble(members=["one", "two"], calibration={"kind": "min_max"}, missing="minimum")  # type: ignore[arg-type]
    assert judged(ensemble, table, inputs).scores["train"].tolist() == [0.5, 0.5, 0.0, 0.0, 0.5]
    with pytest.raises(DataError, match=r"seen: 3 rows without a score\n  next step: .*`missing: minimum`"):
        judged(ensemble.model_copy(update={"missing": "error"}), table, inputs)


def test_without_gaps_the_rule_for_them_changes_nothing(inputs: MakeInputs) -> None:
    table = scored(LISTS, "one", [3.0, 1.0, 2.0, 8.0, 4.0])
    found = [judged(Ensemble(members={"one": 1.0}, missing=rule), table, inputs) for rule in ("error", "minimum")]  # type: ignore[arg-type]
    assert found[0].scores["train"].tolist() == found[1].scores["train"].tolist()
