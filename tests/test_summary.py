"""Which run's summary a job finds."""

from types import SimpleNamespace
from typing import Any

import pytest

from retkd.summary import replaces

STAGES = {
    name: SimpleNamespace(kind=name.split("-")[0]) for name in ("train", "index", "evaluate", "evaluate-far", "report")
}
WHOLE: dict[str, Any] = {"complete": True, "splits": {"test": {}, "far/test": {}}, "stages": dict.fromkeys(STAGES)}
EVALUATED = {**WHOLE, "complete": False}
BARE: dict[str, Any] = {"complete": False, "splits": {}, "stages": {"train": {}}}


def partial(*standing: str) -> dict[str, Any]:
    """The summary of a run after which these stages stand."""
    return {"complete": False, "splits": {}, "stages": dict.fromkeys(standing)}


@pytest.mark.parametrize("earlier", [WHOLE, EVALUATED])
@pytest.mark.parametrize(
    ("told", "ran", "expected"),
    [
        (WHOLE, ["report"], True),
        (partial("train"), ["train"], False),
        (partial("train", "index", "evaluate"), ["index"], False),
        (partial("train", "index", "evaluate"), ["evaluate"], True),
        (partial("train", "index", "evaluate", "evaluate-far"), ["index"], True),
    ],
)
def test_a_summary_with_numbers_is_replaced_by_one_that_has_come_to_an_evaluation(
    earlier: dict[str, Any], told: dict[str, Any], ran: list[str], expected: bool
) -> None:
    """One of two evaluations stands after `--only index`: the far one's numbers would be lost. All stand: nothing is lost."""
    assert replaces(told, earlier, STAGES, ran) is expected


@pytest.mark.parametrize("earlier", [None, BARE])
def test_where_nothing_was_evaluated_yet_the_last_run_is_told(earlier: dict[str, Any] | None) -> None:
    assert replaces(partial("train"), earlier, STAGES, ["train"])


def test_without_evaluations_a_complete_summary_stays_too() -> None:
    stages = {name: STAGES[name] for name in ("train", "index")}
    assert not replaces(partial("train"), {**BARE, "complete": True}, stages, ["train"])
