"""summary.json: what a nightly job reads. Numbers of the evaluation, cost of each stage, paths of the exports."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retkd.evaluation.names import measure_name
from retkd.expected import split_names

if TYPE_CHECKING:
    from retkd.recipe import Recipe


def summary(
    recipe: "Recipe", artifacts: dict[str, Path], manifests: dict[str, dict[str, Any]], folder: Path
) -> dict[str, Any]:
    """The summary of the stages that stand. ``complete`` is whether all of them do; ``folder`` is the recipe's."""
    splits: dict[str, Any] = {}
    gaps: dict[str, Any] = {}
    for name, config in recipe.stages.items():
        if config.kind == "evaluate" and name in manifests:
            names = split_names(recipe.stages, name)
            splits |= {names[split]: told for split, told in _json(artifacts[name] / "measures.json").items()}
            gaps |= {names[split]: told for split, told in _json(artifacts[name] / "gap.json").items()}
    headline = next((split for split in ("test", "dev") if split in gaps), next(iter(gaps), None))
    reported = any(recipe.stages[name].kind == "report" for name in manifests)
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "complete": set(manifests) == set(recipe.stages),
        "splits": splits,
        "gap": {"split": headline, **gaps[headline]} if headline else None,
        "gaps": gaps,
        "stages": {name: _stage(artifacts[name], told) for name, told in manifests.items()},
        "report": str(folder / "report.html") if reported else None,
        "exports": {name: str(folder / "exports" / name) for name in manifests if recipe.stages[name].kind == "export"},
    }


def tells(told: Mapping[str, Any], served: Mapping[str, Any] | None) -> bool:
    """Whether a summary is that of the student that ``served`` names: the index it is asked through is among its stages'."""
    names = {Path(stage["artifact"]).name for stage in told["stages"].values()}
    return served is not None and served["index"] in names


def replaces(
    told: dict[str, Any], earlier: dict[str, Any] | None, stages: Mapping[str, Any], ran: Sequence[str]
) -> bool:
    """Whether a run's summary takes the place of the ``earlier`` one; ``ran`` are the ``stages`` that the run was asked for.

    One that did not come to an evaluation has no numbers: it leaves the earlier one where that has some, or is complete.
    """
    evaluations = {name for name, config in stages.items() if config.kind == "evaluate"}
    came_to_one = bool(evaluations & set(ran)) or (bool(evaluations) and evaluations <= set(told["stages"]))
    return told["complete"] or came_to_one or earlier is None or not (earlier["complete"] or earlier["splits"])


def _stage(artifact: Path, told: dict[str, Any]) -> dict[str, Any]:
    return {
        "artifact": str(artifact),
        "key": told["key"],
        "digest": told["digest"],
        "wall_seconds": told["wall_seconds"],
        "peak_memory_mib": told["peak_memory_mib"],
        "rows": told["rows"],
        "created": told["created"],
    }


def expectations(recipe: "Recipe", told: dict[str, Any]) -> list[dict[str, Any]]:
    """One outcome per `expected` line: exact, within tolerance, fail.

    A number that a whole run does not give is a fail; where stages are still to come it is not evaluated.
    """
    return [_outcome(line, told) for line in recipe.expected]


def _outcome(line: Any, told: dict[str, Any]) -> dict[str, Any]:
    if line.system == "gap":
        value = (told["gaps"].get(line.split) or {}).get(line.measure)
    else:
        systems = told["splits"].get(line.split) or {}
        value = ((systems.get(line.system) or {}).get(measure_name(line.measure)) or {}).get("mean")
    outcome = "fail" if value is not None or told["complete"] else "not evaluated"
    if value is not None and abs(value - line.value) <= 1e-9:
        outcome = "exact"
    elif value is not None and abs(value - line.value) <= line.tolerance:
        outcome = "within tolerance"
    return {**line.model_dump(), "seen": value, "outcome": outcome}


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))
