"""The trace of a training: one JSON row per step and per look at dev, and what a manifest says of it."""

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
