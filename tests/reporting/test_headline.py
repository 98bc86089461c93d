"""The first sentence is honest."""

import pytest

from retkd.reporting.evidence import Evaluation
from retkd.reporting.headline import headline

PROTOCOL = {"student": "student", "baseline": "control", "queries": {"test": {"evaluated": 567}}}
GAP = {"measure": "nDCG@10", "control": 0.4, "student": 0.45, "teacher": 0.5, "closed": 0.5, "low": 0.41, "high": 0.6}


def told(**changes):
    gap = {**GAP, "p_value": 0.001, "reason": None, **changes}
    return headline(Evaluation("evaluate", {"test": {}}, {"test": gap}, {}, {}, PROTOCOL))


@pytest.mark.parametrize(
    ("changes", "verdict", "sentence"),
    [
        ({}, "better", "The distilled student beats the contrastive control on test nDCG@10."),
        ({"p_value": 0.05}, "open", "The distilled student does not beat the contrastive control on test nDCG@10."),
        (
            {"student": 0.38, "closed": -0.2},
            "worse",
            "The distilled student is worse than the contrastive control on test nDCG@10.",
        ),
        (
            {"student": None, "closed": None, "reason": "not evaluated here: student"},
            "unknown",
            "Nothing can be said about the distilled student yet.",
        ),
    ],
)
def test_the_verdict(changes, verdict, sentence):
    assert (told(**changes).verdict, told(**changes).sentence) == (verdict, sentence)


def test_the_numbers_follow():
    assert told().detail == (
        "0.450 against 0.400: +0.050, p = 0.001, 567 queries. "
        "It closes 50\xa0% of the gap from the control to the teacher [41\xa0%,\xa060\xa0%]."
    )
    assert "may be chance" in told(p_value=0.3).detail


def test_a_share_above_one_and_one_without_interval():
    above = told(student=0.55, closed=1.5, low=None, high=None, reason="no interval: the teacher is not above").detail
    assert "closes 150\xa0% of the gap" in above
    assert "It ranks above its teacher." in above
    assert above.endswith("No interval: the teacher is not above.")


def test_no_gap_is_said_to_be_none():
    detail = told(closed=None, low=None, high=None, reason="the teacher is not above the control").detail
    assert detail.endswith("The teacher is not above the control.")
