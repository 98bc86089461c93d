"""The measurements as tables on the terminal."""

import sys
from typing import Any

from rich.console import Console
from rich.table import Table

TITLES = ("", "median s", "min - max", "per s", "GFLOP/s", "of the limit", "times ours", "peak MiB")


def console() -> Console:
    """Standard output; wide enough for a table when it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 130, highlight=False)


def show(results: dict[str, Any]) -> None:
    """Machine, versions and seed, then one table and the goals per measurement."""
    screen = console()
    screen.print(", ".join(f"{name} {value}" for name, value in results["machine"].items()))
    screen.print(", ".join(f"{name} {value}" for name, value in results["versions"].items()))
    screen.print(f"seed {results['seed']}, {results['repeats']} repeats in turn after a warm-up; medians\n")
    for name, measurement in results["measurements"].items():
        screen.print(_table(name, measurement))
        differences = measurement["equal"]["largest_difference"].values()
        held = "results equal within" if measurement["equal"]["tolerance"] is not None else "results differ by up to"
        screen.print(f"{held} {max(differences, default=0.0):.1e}", *_facts(measurement), sep=", ")
        for goal in measurement["goals"]:
            outcome = "[green]met[/]" if goal["met"] else "[red]MISSED[/]"
            screen.print(f"  {outcome}  {goal['goal']}: {goal['value']:.2f} (goal: {goal['at_least']:.2f})")
        screen.print()


def _table(name: str, measurement: dict[str, Any]) -> Table:
    limit = measurement["matmul_gflop_per_second"]["median"]
    count, unit = measurement["count"], measurement["unit"]
    title = f"{name}: {count:,} {unit if count > 1 else unit.removesuffix('s')}, {measurement['gflop']:,.0f} GFLOP"
    table = Table(title=f"{title}; limit {limit:,.0f} GFLOP/s", title_justify="left", box=None, pad_edge=False)
    for position, column in enumerate(TITLES):
        table.add_column(column, justify="right" if position else "left", no_wrap=True)
    for contender, row in measurement["contenders"].items():
        seconds, ratio = row["seconds"], row["times_as_slow_as_ours"]
        table.add_row(
            contender,
            f"{seconds['median']:.2f}",
            f"{seconds['min']:.2f} - {seconds['max']:.2f}",
            f"{row[f'{unit}_per_second']['median']:.2f}",
            f"{row['gflop_per_second']['median']:.1f}",
            f"{row['share_of_limit']['median']:.0%}",
            f"{ratio['median']:.2f} ({ratio['min']:.2f} - {ratio['max']:.2f})",
            _memory(row),
        )
    return table


def _memory(row: dict[str, Any]) -> str:
    """The peak; in brackets what the run added to its process, where that is known."""
    added = row.get("added_memory_mib")
    return f"{row['peak_memory_mib']:,}" + (f" (+{added:,})" if added else "")


def _facts(measurement: dict[str, Any]) -> list[str]:
    return [f"{name.replace('_', ' ')} {_number(value)}" for name, value in measurement["facts"].items()]


def _number(value: Any) -> str:
    if isinstance(value, float) and abs(value) < 1000:
        return f"{value:.4g}"
    return f"{value:,.0f}" if isinstance(value, float | int) else str(value)
