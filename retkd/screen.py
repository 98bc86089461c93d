"""What a person sees on the terminal."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from retkd.ask import Answer
    from retkd.exchange import Copied
    from retkd.plan import Step
    from retkd.recipe import Recipe
    from retkd.workspace import Workspace

COLOURS = {"skip": "dim", "resume": "yellow", "run": "cyan"}


def console() -> Console:
    """Standard output; wide enough for a table when it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def plan(steps: Sequence["Step"]) -> None:
    """One row per stage: what would be done, and why."""
    rows = Table(box=None, pad_edge=False)
    for title in ("stage", "kind", "action", "why"):
        rows.add_column(title, overflow="fold")
    for each in steps:
        rows.add_row(each.name, each.kind, Text(each.action, style=COLOURS[each.action]), each.why)
    console().print(rows)


def greeting(recipe: "Recipe", workspace: "Workspace", names: Sequence[str], as_written: bool) -> None:
    """What is about to run, where its results will lie and, of the whole recipe as it is written, how long it takes."""
    _err(f"{recipe.name}: {len(names)} stages, results under {workspace.recipe_folder(recipe.name)}")
    takes = f"takes {recipe.takes}; " if recipe.takes and as_written else ""
    _err(f"{takes}stop it whenever you like, the same command goes on from there")


@contextmanager
def interruptible() -> Iterator[None]:
    """What Ctrl-C leaves, told before it ends the run: the step of a training, if it says which."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        kept = str(stopped) or "finished stages, shards and checkpoints are kept"
        _err(f"stopped: {kept}; the same command goes on from there")
        raise


def counted(names: Sequence[str]) -> Callable[["Step"], None]:
    """What tells that a stage begins, or is passed over, and which of how many it is."""
    seen: list[str] = []

    def step(each: "Step") -> None:
        seen.append(each.name)
        why = f" ({each.why})" if each.action != "skip" else ""
        _err(f"[{len(seen)}/{len(names)}] {each.name}: {each.action}{why}")

    return step


def result(told: dict[str, Any], space: "Workspace", seconds: float) -> None:
    """How long it took, the tables of the evaluation, the expectations, and where to go from here."""
    from retkd.progress import duration

    _err(f"ended after {duration(seconds)}")
    out = console()
    if told["splits"]:
        from retkd.reporting.terminal import print_results

        print_results(told["splits"], told["gaps"], out)
    waiting = sum(line["outcome"] == "not evaluated" for line in told["expected"])
    if waiting:
        out.print(f"expected numbers whose evaluation is still to come: {waiting}")
    for line in told["expected"]:
        if line["outcome"] == "not evaluated":
            continue
        seen = "missing" if line["seen"] is None else f"{line['seen']:.4f}"
        out.print(
            f"expected {line['system']} {line['measure']} on {line['split']}: {line['value']} +- {line['tolerance']}, "
            f"seen {seen}: {line['outcome']}"
        )
    out.print()
    _places(told, space, out)


def _places(told: dict[str, Any], space: "Workspace", out: Console) -> None:
    """Where the results of this run lie; what an earlier state of the recipe left there is not told."""
    from retkd.summary import tells

    folder = space.recipe_folder(told["recipe"])
    written, served = space.summary(folder.name), space.served(folder.name)
    if written is not None and written["stages"] == told["stages"]:
        out.print(f"summary  {folder / 'summary.json'}")
    if told["report"]:
        out.print(f"report   {told['report']}")
    for exported in told["exports"].values():
        out.print(f"export   {exported}")
    if served is not None and tells(told, served):
        words = "read a file line by line" if served["collection"]["kind"] == "pycode" else "your words"
        elsewhere = "" if folder.parent == Path("runs") else f" --workspace {folder.parent}"
        out.print(f'ask it   retkd search "{words}" --recipe {folder.name}{elsewhere}', soft_wrap=True)


def answers(found: Sequence["Answer"], as_json: bool) -> None:
    """Ranked documents with the beginning of their text."""
    out = console()
    for each in found:
        if as_json:
            out.print(json.dumps(each.__dict__, ensure_ascii=False), soft_wrap=True, markup=False)
            continue
        out.print(Text.assemble((f"{each.rank:>2} ", "bold"), (f"{each.score:.3f}  ", "cyan"), (each.doc_id, "bold")))
        shown = [line for line in f"{each.title}\n{each.text}".splitlines() if line.strip()][:4]
        for line in shown:
            out.print(Text("     " + line[:110], style="dim"))


def copied(told: "Copied") -> None:
    """Whose rows on standard error; what was written, whose scores, what was left out, and what this format cannot hold."""
    _err(told.origin)
    scores = f"scores of {told.teacher}" if told.teacher else "no scores"
    lines = [f"{told.num_lists:,} lists, {scores} -> {told.target}"]
    lines += [f"left out: {count:,} {reason}" for reason, count in told.dropped.items()]
    lines.append(f"this format loses {told.format.loses}")
    console().print("\n".join(lines), soft_wrap=True, markup=False)


def pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Two columns."""
    shown = Table(box=None, show_header=False, pad_edge=False)
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for left, right in rows:
        shown.add_row(left, right)
    console().print(shown, markup=False)


def history(rows: Sequence[dict[str, Any]], measure: str) -> None:
    """One row per run and split. A run's minutes are its own: what stood before is not counted."""
    from retkd.reporting.figures import percent

    names = list(dict.fromkeys(name for row in rows for name in row))
    shown = Table(title=measure, box=None, pad_edge=False)
    for name in names:
        shown.add_column(name, justify="left" if name in ("when", "recipe", "split") else "right")
    for row in rows:
        minutes = None if row["minutes"] is None else f"{row['minutes']:.1f}"
        told = {**row, "minutes": minutes, "closed": None if row["closed"] is None else percent(row["closed"], 1)}
        shown.add_row(*[_cell(told.get(name)) for name in names])
    console().print(shown)
    if any(row["minutes"] is None for row in rows):
        _err("minutes -: that run was kept before runs told how long they took themselves")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _err(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
