"""The trace of a training: one JSON row per step and per look at dev, and what a manifest says of it."""

import json
import math
from pathlib import Path
from typing import Any

Trace = list[dict[str, Any]]


def losses(trace: Trace) -> dict[str, Any]:
    """Number of steps, first and last loss."""
    found = [row["loss"] for row in trace if "loss" in row]
    return {"steps": len(found), **({"first_loss": found[0], "last_loss": found[-1]} if found else {})}


def dev_values(trace: Trace, primary: str) -> dict[str, Any]:
    """The last and the best look at dev, and the step of the best."""
    looks = [(row["dev"][primary], row["step"]) for row in trace if "dev" in row]
    if not looks:
        return {}
    best, step = max(looks, key=lambda look: (look[0], -look[1]))
    name = f"dev_reranking_{primary}"
    return {name: looks[-1][0], f"best_{name}": best, "best_step": step}


def trace_row(entry: dict[str, Any]) -> dict[str, Any] | None:
    """A row of trace.jsonl out of the trainer's log: a step, or a look at dev. Clock measurements are left out."""
    dev = {name.removeprefix("eval_"): value for name, value in entry.items() if name.startswith("eval_")}
    if dev:
        return {"step": entry["step"], "dev": dev}
    if "loss" not in entry:
        return None
    return {name: value for name, value in entry.items() if name != "epoch" and math.isfinite(value)}


def write_trace(trace: Trace, path: Path) -> None:
    """One JSON object per line."""
    path.write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in trace), encoding="utf-8")
