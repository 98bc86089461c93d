"""The result table as rows, the same for the terminal, the report and the model card."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retkd.reporting.figures import interval, number, p_value, signed, with_interval
from retkd.reporting.labels import label, tone


@dataclass(frozen=True)
class Cell:
    """One measure of one system. ``difference`` and ``p`` are against the baseline, ``None`` for itself."""

    mean: float
    low: float
    high: float
    difference: float | None
    p: float | None

    @property
    def value(self) -> str:
        """``0.412``."""
        return number(self.mean)

    @property
    def interval(self) -> str:
        """``[0.398, 0.427]``."""
        return interval(self.low, self.high)

    @property
    def whole(self) -> str:
        """``0.412 [0.398, 0.427]``."""
        return with_interval(self.mean, self.low, self.high)

    @property
    def against(self) -> str:
        """``+0.031, p = 0.004``; empty where nothing is compared."""
        return "" if self.difference is None else f"{signed(self.difference)}, p {p_value(self.p)}"


@dataclass(frozen=True)
class Row:
    """One system. ``cells`` are by measure, in the order of the recipe."""

    system: str
    cells: dict[str, Cell]

    @property
    def label(self) -> str:
        """What people read."""
        return label(self.system)

    @property
    def tone(self) -> str:
        """The colour class."""
        return tone(self.system)


def result_rows(measures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[Row]:
    """Rows of one split of measures.json, in its order."""
    return [Row(system, {name: _cell(told) for name, told in by.items()}) for system, by in measures.items()]


def _cell(told: Mapping[str, Any]) -> Cell:
    return Cell(told["mean"], told["low"], told["high"], told["difference"], told["p_value"])
