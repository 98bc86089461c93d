"""Bars of the systems and the meter of the gap, as positions in percent: the page draws them, in readable text."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retkd.reporting.figures import percent
from retkd.reporting.results import Row
from retkd.reporting.svg import ticks


@dataclass(frozen=True)
class Bar:
    """A bar from 0 to ``end`` with a whisker from ``low`` to ``high``, all in percent of the track."""

    label: str
    tone: str
    value: str
    end: float
    low: float
    high: float


@dataclass(frozen=True)
class Bars:
    """Bars on one scale; ``ticks`` are (percent, text)."""

    measure: str
    bars: list[Bar]
    ticks: list[tuple[float, str]]


def bars(rows: list[Row], measure: str) -> Bars:
    """One bar per system by ``measure``, on a scale from 0."""
    highest = max((row.cells[measure].high for row in rows), default=1.0) or 1.0
    step = ticks(0.0, highest, 4)[1]
    top = step * math.ceil(highest / step - 1e-9)
    marks = ticks(0.0, top, 4)
    drawn = []
    for row in rows:
        cell = row.cells[measure]
        drawn.append(Bar(row.label, row.tone, cell.value, *(100 * v / top for v in (cell.mean, cell.low, cell.high))))
    return Bars(measure, drawn, [(100 * mark / top, f"{mark:g}") for mark in marks])


@dataclass(frozen=True)
class Meter:
    """Control, student and teacher on one line. Positions are percent; ``share`` is the text of what is closed."""

    control: float
    student: float
    teacher: float
    low: float | None
    high: float | None
    share: str


MOST_BEYOND = 0.5
"""How far beyond control or teacher an interval may stretch the meter; further, it is cut."""


def meter(told: Mapping[str, Any]) -> Meter | None:
    """The meter of one split of gap.json; ``None`` when there is no gap to show."""
    closed, low, high = told["closed"], told["low"], told["high"]
    if closed is None:
        return None
    left = min(0.0, closed, max(closed if low is None else low, -MOST_BEYOND))
    right = max(1.0, closed, min(closed if high is None else high, 1.0 + MOST_BEYOND))

    def at(share: float) -> float:
        return 100.0 * float(min(max((share - left) / (right - left), 0.0), 1.0))

    band = (None, None) if low is None else (at(low), at(high))
    return Meter(at(0.0), at(closed), at(1.0), band[0], band[1], percent(closed))
