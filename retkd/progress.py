"""Progress: a bar on a terminal, one plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from retkd import processes

SECONDS_BETWEEN_LINES = 20.0


def say(line: str) -> None:
    """One log line on standard error, at once. Of several processes the first one speaks."""
    if processes.is_first():
        print(line, file=sys.stderr, flush=True)


@contextmanager
def track(label: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
    """A function to call with each number of finished units."""
    if done:
        say(f"{label}: {done} of {total} were done before")
    if sys.stderr.isatty() and processes.is_first():
        with _bar(label, total, done) as step:
            yield step
    else:
        yield _lines(label, total, done)


@contextmanager
def _bar(label: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total, completed=done)
        yield lambda units: progress.advance(task, units)


def duration(seconds: float) -> str:
    """Seconds in words, to two units.

    >>> duration(4.24), duration(61), duration(7290)
    ('4.2 s', '1 min 1 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _lines(label: str, total: int, done: int) -> Callable[[int], None]:
    began = time.monotonic()
    state = {"done": done, "said": began}

    def step(units: int) -> None:
        state["done"] += units
        now = time.monotonic()
        if now - state["said"] >= SECONDS_BETWEEN_LINES:
            state["said"] = now
            left = (now - began) / (state["done"] - done) * (total - state["done"])
            say(
                f"{label}: {state['done']:,.0f} of {total:,}, {duration(now - began)} so far, about {duration(left)} left"
            )

    return step
