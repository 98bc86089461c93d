"""Summaries of past runs as a history: one file per run, one row per recipe, seed and system."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from retkd.digests import digest_of
from retkd.errors import WorkspaceError
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
    """The digest of all that a summary tells of its results: every stage, split and number; no cost, no place, no date."""
    stages = {name: [told["key"], told["digest"]] for name, told in summary["stages"].items()}
    results = {name: summary[name] for name in ("recipe", "seed", "splits", "gaps")}
    return digest_of({**results, "stages": stages})[:32]


def rows(root: Path, measure: str) -> list[dict[str, Any]]:
    """Oldest first: when, recipe, seed, split, the measure of each system, the gap closed, wall minutes."""
    from retkd.evaluation.names import measure_name

    paths = sorted((root / "history").glob("*.json"), key=lambda path: path.name.rsplit("-", 2)[1])
    if not paths:
        raise WorkspaceError("this workspace has no history yet", where=root / "history", next_step="retkd run RECIPE")
    return [row for path in paths for row in _rows(path, measure_name(measure))]


def _rows(path: Path, measure: str) -> list[dict[str, Any]]:
    told = json.loads(path.read_text(encoding="utf-8"))
    when = path.name.rsplit("-", 2)[1]
    minutes = sum(stage["wall_seconds"] for stage in told["stages"].values()) / 60
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
