"""The share of the distance from the control to its teacher that a student covers."""

from typing import Any

import numpy as np

from retkd.evaluation.comparison import Resampling
from retkd.evaluation.measures import Values

MOST_WITHOUT_GAP = 0.001
"""The share of resamples that may lack a gap before the interval is given up."""


def gap(
    values: Values, means: np.ndarray, measure: str, names: tuple[str, str, str], resampling: Resampling
) -> dict[str, Any]:
    """``closed = (student - control) / (teacher - control)`` and its raw triple, by one measure.

    ``names`` are the systems (control, student, teacher); ``means [resample, system, measure]`` give the interval of
    ``closed``. What cannot be told is null, and ``reason`` says why: a system is missing, the teacher is not above the
    control (there is no gap to close), or not so in 99.9 % of the resamples (the share then has no sensible interval).
    ``p_value`` is the paired test of the student against the control.
    """
    roles = dict(zip(("control", "student", "teacher"), names, strict=True))
    have = {role: name for role, name in roles.items() if name in values.systems}
    triple = {role: float(values.of(name, measure).mean()) for role, name in have.items()}
    told: dict[str, Any] = {"measure": measure, **dict.fromkeys(roles), **triple}
    told |= {"closed": None, "low": None, "high": None, "p_value": None, "reason": None}
    if {"student", "control"} <= set(have):
        told["p_value"] = resampling.p_value(values.of(names[1], measure) - values.of(names[0], measure))
    if len(have) < 3:
        absent = ", ".join(f"{role} (a system named {roles[role]!r})" for role in roles if role not in have)
        return told | {"reason": f"not evaluated here: {absent}"}
    if triple["teacher"] <= triple["control"]:
        return told | {"reason": "the teacher is not above the control: there is no gap to close"}
    told["closed"] = (triple["student"] - triple["control"]) / (triple["teacher"] - triple["control"])
    return told | _interval(values, means, measure, names, resampling)


def _interval(
    values: Values, means: np.ndarray, measure: str, names: tuple[str, str, str], resampling: Resampling
) -> dict[str, Any]:
    column = values.measures.index(measure)
    control, student, teacher = (means[:, values.systems.index(name), column] for name in names)
    below = teacher <= control
    if below.mean() > MOST_WITHOUT_GAP:
        share = f"{100 * below.mean():.1f} % of the resamples"
        return {"reason": f"no interval: the teacher is not above the control in {share}"}
    low, high = resampling.interval(((student - control) / np.where(below, np.nan, teacher - control))[~below])
    return {"low": low, "high": high}
