"""Contenders in turn, in one process: equal results first, then medians, spreads and ratios pair by pair."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.limit import matmul_gflop_per_second
from retkd.resources import measured

AS_CALLED, BEST_FORM = 1.2, 0.97
SHARE_OF_LIMIT = 0.70


@dataclass(frozen=True)
class Outcome:
    """What a run gave, to be compared, and how long it took, in seconds.

    ``peak_memory_mib``: of a process of its own; ``added_memory_mib``: beyond what stood in it before the run.
    """

    result: np.ndarray
    seconds: float
    peak_memory_mib: float | None = None
    added_memory_mib: float | None = None


@dataclass(frozen=True)
class Contender:
    """One way of doing the work. ``as_called``: how people call the peer; its other forms count as its best."""

    name: str
    run: Callable[[], Outcome]
    ours: bool = False
    as_called: bool = False


@dataclass(frozen=True)
class Subject:
    """What is done: ``count`` units, ``gflop`` over real tokens, results equal within ``tolerance`` (None: not held equal).

    ``warm_up``: a run of each contender before the first repeat; where each run is a process of its own it would warm nothing.
    ``memory_goal``: so many times as fast as the peer as called, or the memory that it adds divided by so much.
    """

    name: str
    unit: str
    count: int
    gflop: float
    tolerance: float | None
    facts: dict[str, Any]
    as_called_goal: bool = True
    share_goal: float | None = SHARE_OF_LIMIT
    warm_up: bool = True
    memory_goal: tuple[float, float] | None = None


class UnequalError(Exception):
    """Two contenders did not give the same result: their times cannot be compared."""


def timed(work: Callable[[], Any]) -> Callable[[], Outcome]:
    """The work with its wall time."""

    def run() -> Outcome:
        began = time.perf_counter()
        result = work()
        return Outcome(np.asarray(result), time.perf_counter() - began)

    return run


def interleaved(subject: Subject, contenders: Sequence[Contender], repeats: int, matmul: int) -> dict[str, Any]:
    """Measure the contenders in turn, the first to go changing with each repeat; the warm-up or the last repeat is compared."""
    differences = _compared(subject, contenders, _warmed_up(subject, contenders)) if subject.warm_up else {}
    results: dict[str, np.ndarray] = {}
    seconds: dict[str, list[float]] = {each.name: [] for each in contenders}
    peaks = {each.name: 0.0 for each in contenders}
    added = {each.name: 0.0 for each in contenders}
    rates = []
    for repeat in range(repeats):
        print(f"{subject.name}: repeat {repeat + 1} of {repeats}", file=sys.stderr, flush=True)
        rates.append(matmul_gflop_per_second(matmul))
        for position in range(len(contenders)):
            each = contenders[(position + repeat) % len(contenders)]
            with measured() as cost:
                outcome = each.run()
            results[each.name] = outcome.result
            seconds[each.name].append(outcome.seconds)
            peaks[each.name] = max(peaks[each.name], outcome.peak_memory_mib or cost.peak_memory_mib)
            added[each.name] = max(added[each.name], outcome.added_memory_mib or 0.0)
        rates[-1] = (rates[-1] + matmul_gflop_per_second(matmul)) / 2
    differences = differences or _compared(subject, contenders, results)
    times = {name: np.array(each) for name, each in seconds.items()}
    return _told(subject, contenders, times, {"peak": peaks, "added": added}, np.array(rates), differences)


def _warmed_up(subject: Subject, contenders: Sequence[Contender]) -> dict[str, np.ndarray]:
    print(f"{subject.name}: warm-up, and whether the results are equal", file=sys.stderr, flush=True)
    return {each.name: each.run().result for each in contenders}


def _compared(subject: Subject, contenders: Sequence[Contender], results: dict[str, np.ndarray]) -> dict[str, float]:
    own = next(each.name for each in contenders if each.ours)
    differences = {n: float(np.abs(r - results[own]).max()) for n, r in results.items() if n != own}
    for name, difference in differences.items():
        if subject.tolerance is not None and not difference <= subject.tolerance:
            raise UnequalError(
                f"{subject.name}: {name!r} and {own!r} differ by {difference:.3g} (allowed: {subject.tolerance:g}); "
                "no times are given for unequal results"
            )
    return differences


def _told(
    subject: Subject,
    contenders: Sequence[Contender],
    seconds: dict[str, np.ndarray],
    memory: dict[str, dict[str, float]],
    rates: np.ndarray,
    differences: dict[str, float],
) -> dict[str, Any]:
    own = next(each.name for each in contenders if each.ours)
    rows = {}
    for each in contenders:
        times = seconds[each.name]
        rows[each.name] = {
            "role": "ours" if each.ours else "peer, as called" if each.as_called else "peer, another form",
            "seconds": spread(times),
            f"{subject.unit}_per_second": spread(subject.count / times),
            "gflop_per_second": spread(subject.gflop / times),
            "share_of_limit": spread(subject.gflop / times / rates),
            "times_as_slow_as_ours": spread(times / seconds[own]),
            "peak_memory_mib": round(memory["peak"][each.name]),
        }
        if memory["added"][each.name]:
            rows[each.name]["added_memory_mib"] = round(memory["added"][each.name])
    return {
        "unit": subject.unit,
        "count": subject.count,
        "gflop": subject.gflop,
        "facts": subject.facts,
        "equal": {"tolerance": subject.tolerance, "largest_difference": differences},
        "matmul_gflop_per_second": spread(rates),
        "contenders": rows,
        "goals": _goals(subject, contenders, rows, own),
    }


def _goals(subject: Subject, contenders: Sequence[Contender], rows: dict[str, Any], own: str) -> list[dict[str, Any]]:
    peers = [each for each in contenders if not each.ours]
    wanted: list[tuple[str, float, float]] = []
    if subject.as_called_goal:
        called = next(each.name for each in peers if each.as_called)
        wanted.append((f"speed over {called}", AS_CALLED, rows[called]["times_as_slow_as_ours"]["median"]))
    if peers:
        best = min((each.name for each in peers), key=lambda name: rows[name]["seconds"]["median"])
        wanted.append((f"speed over the peer's best: {best}", BEST_FORM, rows[best]["times_as_slow_as_ours"]["median"]))
    if subject.memory_goal is not None:
        wanted.append(_speed_or_memory(subject.memory_goal, rows, own, next(e.name for e in peers if e.as_called)))
    if subject.share_goal is not None:
        wanted.append(("share of the matmul limit", subject.share_goal, rows[own]["share_of_limit"]["median"]))
    return [goal(*each) for each in wanted]


def goal(name: str, least: float, value: float) -> dict[str, Any]:
    """One goal, what it asks for and whether it is met."""
    return {"goal": name, "at_least": least, "value": value, "met": bool(value >= least)}


def _speed_or_memory(
    wanted: tuple[float, float], rows: dict[str, Any], own: str, peer: str
) -> tuple[str, float, float]:
    """The better of both, as a share of what is wanted."""
    faster, smaller = wanted
    speed = rows[peer]["times_as_slow_as_ours"]["median"] / faster
    memory = rows[peer]["added_memory_mib"] / rows[own]["added_memory_mib"] / smaller
    return f"{faster:g} times as fast as {peer}, or the memory that it adds / {smaller:g}", 1.0, max(speed, memory)


def spread(values: np.ndarray) -> dict[str, Any]:
    """Median, least and greatest, and every value."""
    return {
        "median": float(np.median(values)),
        "min": float(values.min()),
        "max": float(values.max()),
        "all": [float(value) for value in values],
    }
