"""Run a recipe: skip what stands, resume what was cut short, run the rest, write the summary."""

import platform
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retkd import processes
from retkd import workspace as ws
from retkd.delivery import deliver
from retkd.errors import WorkspaceError
from retkd.history import keep
from retkd.plan import TRAINING, Resolver, Step, chosen
from retkd.progress import duration, say
from retkd.references import run_order
from retkd.resources import measured, release_memory
from retkd.stage import Inputs, Metrics
from retkd.stages import STAGES
from retkd.summary import expectations, replaces, summary
from retkd.workspace import SUMMARY

if TYPE_CHECKING:
    from retkd.recipe import Recipe

PACKAGES = (
    *("retkd", "torch", "transformers", "sentence-transformers", "tokenizers", "faiss-cpu", "bm25s"),
    *("ir-measures", "onnx", "onnxruntime", "numpy", "pyarrow"),
)


def plan(recipe: "Recipe", workspace: ws.Workspace, names: list[str] | None = None) -> list[Step]:
    """What :func:`run` would do, without doing it. ``names`` limits it to these stages."""
    resolver = Resolver(recipe, workspace)
    wanted = names if names is not None else list(recipe.stages)
    resolver.require_splits(wanted)
    resolver.require_files(wanted)
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
    """Run the stages ``names`` (default: all) and give the summary, which is also written to summary.json: not where the run
    came to no evaluation and that file tells one.

    Stages that are not among ``names`` must stand where a chosen one reads them; else :class:`WorkspaceError`.
    Of several processes the first calls this, and the others :func:`follow`.
    """
    began, resolver = time.monotonic(), Resolver(recipe, workspace)
    wanted = names if names is not None else chosen(recipe)
    resolver.require_splits(wanted)
    resolver.require_files(wanted)
    resolver.require_models(wanted)
    for split in resolver.passed_over(wanted):
        say(
            f"the split {split!r} of the collection is not read: name it in `splits`, or rename it to train, dev or test"
        )
    for name in run_order(recipe.stages):
        if name not in wanted and resolver.lacks_models(name):
            continue
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
    _call(None)
    workspace.digests.save()
    folder = workspace.recipe_folder(recipe.name)
    told = summary(recipe, resolver.artifacts, resolver.manifests, folder)
    told["expected"] = expectations(recipe, told)
    told["wall_seconds"] = round(time.monotonic() - began, 3)
    _write_results(resolver, wanted, told)
    return told


Call = tuple[str, Inputs, Path]
"""A training that all processes take part in: the stage's name, its inputs without the collection, its artifact."""


def follow(recipe: "Recipe", workspace: ws.Workspace) -> None:
    """What every process but the first does: take part in the trainings that the first calls it to, wait meanwhile."""
    while (called := _call(None)) is not None:
        name, inputs, artifact = called
        release_memory()
        manifests = {other: dict(told) for other, told in inputs.manifests.items()}
        collection = Resolver(recipe, workspace, manifests, dict(inputs.artifacts)).collection(name)
        config = recipe.stages[name]
        STAGES[config.kind].run(config, replace(inputs, collection=collection), artifact)


def _call(training: Call | None) -> Call | None:
    """To the followers, from the first process: the next training, or None where there is no more."""
    return processes.from_first(lambda: training)


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
    assert artifact is not None
    assert step.told is not None
    stage, config = STAGES[step.kind], recipe.stages[step.name]
    with ws.locked(artifact):
        if ws.manifest(artifact) is not None:
            ws.discard(artifact)
        artifact.mkdir(parents=True, exist_ok=True)
        release_memory()
        inputs = _inputs(resolver, step)
        if step.kind in TRAINING:
            _call((step.name, replace(inputs, collection=None), artifact))  # type: ignore[arg-type]
        with measured() as cost:
            metrics = stage.run(config, inputs, artifact)
        told = {
            "kind": step.kind,
            "stage": step.name,
            "recipe": recipe.name,
            "key": step.key,
            "key_inputs": dict(step.told),
            "config": config.model_dump(mode="json"),
            **_accounting(metrics),
            "wall_seconds": round(cost.wall_seconds, 3),
            "peak_memory_mib": round(cost.peak_memory_mib, 1),
            "resumed": step.action == "resume",
            "processes": processes.count() if step.kind in TRAINING else 1,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
        }
        ws.publish(artifact, told, stage.VOLATILE)
    say(f"{step.name}: done in {duration(cost.wall_seconds)}, peak {cost.peak_memory_mib:,.0f} MiB")


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
    recipe = resolver.recipe
    collections = [recipe.collection, *recipe.transfer.values(), *recipe.views.values()]
    resolver.workspace.write_collections(resolver.recipe.name, [each.model_dump(mode="json") for each in collections])


def _write_results(resolver: Resolver, wanted: list[str], told: dict[str, Any]) -> None:
    recipe, space = resolver.recipe, resolver.workspace
    folder = space.recipe_folder(recipe.name)
    deliver(recipe, resolver.artifacts, resolver.manifests, folder)
    if replaces(told, space.summary(recipe.name), recipe.stages, wanted):
        space.write_json(folder / SUMMARY, told)
    else:
        say(f"this run came to no evaluation: {folder / SUMMARY} still tells the last run that did")
    if told["complete"]:
        keep(told, space.root)
