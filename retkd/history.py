"""Summaries of past runs as a history: one file per run, one row per recipe, seed and system."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from retkd.digests import digest_of
from retkd.errors import RecipeError, WorkspaceError, meant
from retkd.shards import atomic


def keep(summary: dict[str, Any], root: Path) -> Path:
    """Add a finished run's summary to ``<workspace>/history``; the same result is kept once."""
    digest = _identity(summary)
    folder = root / "history"
    known = list(folder.glob(f"{summary['recipe']}-*-{digest}.json"))
    if known:
        return known[0]
    when = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = folder / f"{summary['recipe']}-{when}-{digest}.json"
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return path


def _identity(summary: dict[str, Any]) -> str:
    """The digest of all results that a summary tells: every stage, which has the numbers, and every split; not of costs,
    places and dates."""
    stages = {name: [told["key"], told["digest"]] for name, told in summary["stages"].items()}
    splits = list(summary["splits"])
    return digest_of({"recipe": summary["recipe"], "seed": summary["seed"], "splits": splits, "stages": stages})[:32]


def rows(root: Path, measure: str) -> list[dict[str, Any]]:
    """Oldest first: when, recipe, seed, split, the measure of each system, the gap closed, wall minutes of the run itself;
    None in a summary that does not tell them.

    Raises :class:`WorkspaceError` where no run was kept, or none of them has the measure.
    """
    from retkd.evaluation.names import measure_name

    paths = sorted((root / "history").glob("*.json"), key=lambda path: path.name.rsplit("-", 2)[1])
    if not paths:
        raise WorkspaceError("this workspace has no history yet", where=root / "history", next_step="retkd run RECIPE")
    runs = [(path.name.rsplit("-", 2)[1], json.loads(path.read_text(encoding="utf-8"))) for path in paths]
    known = dict.fromkeys(name for _, told in runs for name in _measures(told))
    try:
        name = measure_name(measure)
    except RecipeError:
        name = measure
    if name not in known:
        raise WorkspaceError(
            f"no run in the history has the measure {measure!r}",
            where=root / "history",
            seen=measure,
            allowed=", ".join(known) or "none: no run has evaluated anything",
            next_step=meant(measure, known),
        )
    return [row for when, told in runs for row in _rows(when, told, name)]


def _measures(told: dict[str, Any]) -> list[str]:
    return [measure for systems in told["splits"].values() for of in systems.values() for measure in of]


def _rows(when: str, told: dict[str, Any], measure: str) -> list[dict[str, Any]]:
    minutes = told["wall_seconds"] / 60 if "wall_seconds" in told else None
    return [
        {
            "when": f"{when[:4]}-{when[4:6]}-{when[6:8]} {when[9:11]}:{when[11:13]}",
            "recipe": told["recipe"],
            "seed": told["seed"],
            "split": split,
            **{name: of[measure]["mean"] for name, of in systems.items() if measure in of},
            "closed": (told["gaps"].get(split) or {}).get("closed"),
            "minutes": minutes,
        }
        for split, systems in told["splits"].items()
    ]
