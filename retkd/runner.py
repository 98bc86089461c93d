"""Run a recipe: skip what stands, resume what was cut short, run the rest, write the summary."""

import platform
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retkd import workspace as ws
from retkd.errors import WorkspaceError
from retkd.history import keep
from retkd.plan import Resolver, Step, chosen
from retkd.progress import say
from retkd.references import run_order
from retkd.resources import measured
from retkd.stage import Inputs, Metrics
from retkd.stages import STAGES
from retkd.summary import expectations, summary

if TYPE_CHECKING:
    from retkd.recipe import Recipe

PACKAGES = ["retkd", "torch", "transformers", "sentence-transformers", "faiss-cpu", "bm25s", "ir-measures", "onnx", "onnxruntime", "numpy", "pyarrow", "tokenizers"]


def plan(recipe: "Recipe", workspace: ws.Workspace, names: list[str] | None = None) -> list[Step]:
    """What :func:`run` would do, without doing it. ``names`` limits it to these stages."""
    resolver = Resolver(recipe, workspace)
    steps = []
    for name in run_order(recipe.stages):
        step = resolver.step(name)
        if step.action == "skip":
            resolver.stand(step)
        if names is None or name in names:
            steps.append(step)
    workspace.digests.save()
    return steps


def run(
    recipe: "Recipe",
    workspace: ws.Workspace,
    names: list[str] | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
) -> dict[str, Any]:
    """Run the stages ``names`` (default: all) and give the summary, which is also written to summary.json.

    Stages that are not among ``names`` must stand where a chosen one reads them; else :class:`WorkspaceError`.
    """
    resolver = Resolver(recipe, workspace)
    wanted = names if names is not None else chosen(recipe)
    for name in run_order(recipe.stages):
        step = resolver.step(name)
        if step.action != "skip":
            if name not in wanted:
                continue
            _require_inputs(recipe, step)
            on_step(step)
            _run_step(resolver, step)
        elif name in wanted:
            on_step(step)
        resolver.stand(step)
        _record(resolver)
    workspace.digests.save()
    told = summary(recipe, resolver.artifacts, resolver.manifests)
    told["expected"] = expectations(recipe, told)
    _write_results(resolver, told)
    return told


def _require_inputs(recipe: "Recipe", step: Step) -> None:
    if step.artifact is None:
        raise WorkspaceError(
            f"the stage {step.name!r} cannot run: a stage that it reads does not stand",
            where=f"recipe {recipe.name}",
            seen=step.why.removeprefix("after ") + " not run, or stale",
            next_step=f"retkd run RECIPE --until {step.name}",
        )


def _run_step(resolver: Resolver, step: Step) -> None:
    recipe, artifact = resolver.recipe, step.artifact
    assert artifact is not None and step.told is not None
    stage, config = STAGES[step.kind], recipe.stages[step.name]
    with ws.locked(artifact):
        if ws.manifest(artifact) is not None:
            (artifact / ws.MANIFEST).unlink()
        artifact.mkdir(parents=True, exist_ok=True)
        with measured() as cost:
            metrics = stage.run(config, _inputs(resolver, step), artifact)
        told = {
            "kind": step.kind,
            "stage": step.name,
            "recipe": recipe.name,
            "key": step.key,
            "key_inputs": dict(step.told),
            **_accounting(metrics),
            "wall_seconds": round(cost.wall_seconds, 3),
            "peak_memory_mib": round(cost.peak_memory_mib, 1),
            "resumed": step.action == "resume",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
        }
        ws.publish(artifact, told, stage.VOLATILE)
    say(f"{step.name}: done in {cost.wall_seconds:.1f} s, peak {cost.peak_memory_mib:,.0f} MiB")


def _inputs(resolver: Resolver, step: Step) -> Inputs:
    recipe = resolver.recipe
    return Inputs(
        collection=resolver.collection(step.name),
        artifacts=resolver.artifacts,
        models=resolver.models(step.name),
        manifests=resolver.manifests,
        seed=recipe.seed_of(step.name),
        runtime=recipe.runtime,
        store=resolver.workspace.store,
        key=step.key,
        recipe_name=recipe.name,
    )


def _accounting(metrics: Metrics) -> dict[str, Any]:
    return {
        "rows": {"in": metrics.rows_in, "out": metrics.rows_out, "dropped": metrics.rows_dropped},
        "truncation_rate": metrics.truncation_rate,
        "metrics": metrics.values,
        "timings": metrics.timings,
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a number."""
    found = {"python": platform.python_version(), "platform": platform.platform(terse=True)}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _record(resolver: Resolver) -> None:
    folder = resolver.workspace.recipe_folder(resolver.recipe.name)
    known = resolver.workspace.stages(resolver.recipe.name)
    told = {**known, **{name: path.name for name, path in resolver.artifacts.items()}}
    if told != known:
        resolver.workspace.write_json(folder / "stages.json", told)


def _write_results(resolver: Resolver, told: dict[str, Any]) -> None:
    folder = resolver.workspace.recipe_folder(resolver.recipe.name)
    resolver.workspace.write_json(folder / "summary.json", told)
    served = _served(resolver)
    if served:
        resolver.workspace.write_json(folder / "served.json", served)
    if told["complete"]:
        keep(told, resolver.workspace.root)
    for name, artifact in resolver.artifacts.items():
        if resolver.recipe.stages[name].kind == "report":
            _copy(artifact / "report.html", folder / "report.html")


def _served(resolver: Resolver) -> dict[str, Any] | None:
    """The evaluated student, its index and its collection: what `retkd search` asks."""
    stages = resolver.recipe.stages
    for name in resolver.artifacts:
        student = getattr(stages[name], "systems", {}).get("student") if stages[name].kind == "evaluate" else None
        if student is not None and stages[name].collection is None:
            model, index = resolver.artifacts[student.model], resolver.artifacts[student.index]
            config = resolver.recipe.collection.model_dump(mode="json")
            return {"model": f"{model.name}/model", "index": index.name, "collection": config}
    return None


def _copy(source: Path, target: Path) -> None:
    from retkd.shards import atomic

    if not target.exists() or target.read_bytes() != source.read_bytes():
        with atomic(target) as temporary:
            shutil.copyfile(source, temporary)
