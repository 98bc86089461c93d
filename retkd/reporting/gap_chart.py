"""Bars of the systems and the meter of the gap, as positions in percent: the page draws them, so text stays readable."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retkd.reporting.labels import label
from retkd.reporting.numbers import number, percent
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
    marks = ticks(0.0, highest, 4)
    top = highest if marks[-1] >= highest else min(marks[-1] + marks[1], max(1.0, highest))
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
    values: dict[str, str]
    labels: dict[str, str]


def meter(told: Mapping[str, Any], protocol: Mapping[str, Any]) -> Meter | None:
    """The meter of one split of gap.json; ``None`` when there is no gap to show."""
    if told["closed"] is None:
        return None
    shares = {"control": 0.0, "teacher": 1.0, "student": told["closed"]}
    low, high = min(shares.values()), max(shares.values())

    def at(share: float | None) -> float | None:
        return None if share is None else 100 * min(max((share - low) / (high - low), 0.0), 1.0)

    names = {"control": protocol["baseline"], "student": protocol["student"], "teacher": protocol["teacher"]}
    return Meter(
        **{role: at(share) or 0.0 for role, share in shares.items()},
        low=at(told["low"]),
        high=at(told["high"]),
        share=percent(told["closed"]),
        values={role: number(told[role]) for role in names},
        labels={role: label(name) for role, name in names.items()},
    )
