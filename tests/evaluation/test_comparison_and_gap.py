"""Means, intervals, differences, and the share of the gap, on values that can be checked by eye."""

import numpy as np
import pytest

from retkd.evaluation.comparison import Resampling, compared
from retkd.evaluation.gap import gap
from retkd.evaluation.measures import Values

RESAMPLING = Resampling(num_resamples=500, confidence=0.95, seed=3)
ROLES = ("control", "student", "teacher")


def values_of(**systems):
    arrays = np.array([[list(column)] for column in systems.values()], dtype=np.float64)
    return Values(list(systems), ["nDCG@10"], [f"q{i}" for i in range(arrays.shape[2])], arrays)


def gap_of(values):
    return gap(values, RESAMPLING.means(values), "nDCG@10", ROLES, RESAMPLING)


def test_a_baseline_has_no_difference_and_others_have():
    values = values_of(control=[0.0, 0.5, 0.5, 1.0], student=[0.5, 1.0, 1.0, 1.0])
    told = compared(values, RESAMPLING.means(values), "control", RESAMPLING)
    assert told["control"]["nDCG@10"] | {"low": 0, "high": 0} == {
        "mean": 0.5, "low": 0, "high": 0, "num_queries": 4, "difference": None, "p_value": None,
    }  # fmt: skip
    line = told["student"]["nDCG@10"]
    assert (line["mean"], line["difference"], line["p_value"]) == (0.875, 0.375, 2 / 8)
    assert line["low"] <= line["mean"] <= line["high"]


def test_without_the_baseline_nothing_is_compared():
    values = values_of(student=[0.5, 1.0])
    told = compared(values, RESAMPLING.means(values), "control", RESAMPLING)
    assert told["student"]["nDCG@10"]["p_value"] is None


def test_the_share_closed_with_its_raw_triple():
    rng = np.random.default_rng(0)
    control = rng.uniform(0.2, 0.4, 60)
    told = gap_of(values_of(control=control, student=control + 0.15, teacher=control + 0.2))
    assert told["closed"] == pytest.approx(0.75)
    assert told["student"] - told["control"] == pytest.approx(0.15)
    assert told["low"] == pytest.approx(0.75) == told["high"]
    assert told["p_value"] == 1 / 501
    assert told["reason"] is None


def test_a_teacher_that_is_not_above_the_control_leaves_no_gap():
    told = gap_of(values_of(control=[0.5, 0.5], student=[0.6, 0.6], teacher=[0.5, 0.5]))
    assert told["closed"] is None
    assert told["reason"] == "the teacher is not above the control: there is no gap to close"
    assert (told["control"], told["student"], told["teacher"]) == (0.5, 0.6, 0.5)


def test_a_doubtful_teacher_has_a_share_but_no_interval():
    rng = np.random.default_rng(1)
    control = rng.uniform(0.0, 1.0, 30)
    told = gap_of(values_of(control=control, student=control + 0.1, teacher=control + rng.normal(0.02, 0.3, 30)))
    assert told["closed"] is not None or told["reason"].startswith("the teacher")
    assert told["low"] is None
    assert told["high"] is None
    assert told["reason"]


def test_a_missing_system_is_named():
    told = gap_of(values_of(control=[0.5, 0.2], student=[0.6, 0.6]))
    assert told["closed"] is None
    assert told["teacher"] is None
    assert told["reason"] == "not evaluated here: teacher (a system named 'teacher')"
    assert told["p_value"] is not None
