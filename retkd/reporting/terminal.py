"""The result table on the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from retkd.reporting.figures import number, p_value, percent
from retkd.reporting.headline import band
from retkd.reporting.results import Row, result_rows

WIDEST = 1000
"""Columns in which any table fits, to ask how wide one wants to be."""


def print_results(
    measures: Mapping[str, Any],
    gap: Mapping[str, Any],
    console: Console,
    baseline: str = "control",
    student: str = "student",
) -> None:
    """Print one table and one gap line per split of measures.json and gap.json."""
    for split, systems in measures.items():
        rows = result_rows(systems)
        told = gap.get(split) or {}
        table = result_table(split, rows, told.get("measure"), baseline, student)
        too_wide = Measurement.get(console, console.options.update(max_width=WIDEST), table).maximum > console.width
        console.print(result_table(split, rows, told.get("measure"), baseline, student, "\n") if too_wide else table)
        if told:
            console.print(Text(gap_line(told)), soft_wrap=True)


def result_table(
    split: str, rows: Sequence[Row], primary: str | None, baseline: str, student: str, between: str = " "
) -> Table:
    """Systems by measures; the last column is the p-value against the baseline by ``primary``.

    ``between`` stands between a mean and its interval: a line break makes a narrow table.
    """
    names = list(rows[0].cells) if rows else []
    primary = primary or (names[0] if names else None)
    table = Table(title=split, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("System", no_wrap=True)
    for name in names:
        table.add_column(name)
    table.add_column(f"p vs{between}{baseline}", justify="right")
    for row in rows:
        p = row.cells[primary].p if primary else None
        shown = "baseline" if row.system == baseline else p_value(p).removeprefix("= ")
        cells = [row.label, *(f"{row.cells[name].value}{between}{row.cells[name].interval}" for name in names), shown]
        table.add_row(*map(Text, cells), style="bold" if row.system == student else None)
    return table


def gap_line(told: Mapping[str, Any]) -> str:
    """The gap with its raw triple, for one split of gap.json.

    >>> gap_line({"measure": "nDCG@10", "control": 0.4, "student": 0.45, "teacher": 0.5, "closed": 0.5,
    ...           "low": None, "high": None, "p_value": 0.01, "reason": None})
    'gap closed: 50\\xa0% by nDCG@10 (control 0.400, student 0.450, teacher 0.500; student against control p = 0.010)'

    Where the share has no interval, the reason follows.
    """
    triple = ", ".join(f"{role} {number(told[role])}" for role in ("control", "student", "teacher"))
    inside = f"({triple}; student against control p {p_value(told['p_value'])})"
    if told["closed"] is None:
        return f"gap closed: not told by {told['measure']} {inside}: {told['reason']}"
    between = f" {band(told)}" if told["low"] is not None else ""
    why = f"; {told['reason']}" if told["low"] is None and told["reason"] else ""
    return f"gap closed: {percent(told['closed'])}{between} by {told['measure']} {inside}{why}"
