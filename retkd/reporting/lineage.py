"""Which stage made what: the references inside manifests, followed back from a system of the evaluation."""

from collections.abc import Iterator, Mapping
from typing import Any

from retkd.reporting.evidence import Evidence

STAGE = "stage:"
"""A manifest's key inputs name the stages that were read by the digest of their outputs, after this prefix."""


def stage_of_system(evidence: Evidence, system: str) -> str | None:
    """The stage that trained the model of a dense system; ``None`` when no stage of the run did.

    Behind a choice among several it is the stage that trained the chosen one.
    """
    params = params_of(evidence.manifests.get(evidence.evaluation.name, {}))
    model = ((params.get("systems") or {}).get(system) or {}).get("model")
    while (stage := stage_named(evidence.manifests, model)) is not None:
        manifest = evidence.manifests[stage]
        if manifest.get("kind") != "choose":
            return stage
        model = params_of(manifest)["models"][manifest["metrics"]["place"] - 1]
    return None


def stage_named(manifests: Mapping[str, Mapping[str, Any]], reference: object) -> str | None:
    """The stage behind ``stage:DIGEST``, or ``stage:DIGEST:MODEL`` of one with several; ``None`` for anything else."""
    digest = str(reference).removeprefix(STAGE).partition(":")[0]
    found = (name for name, manifest in manifests.items() if manifest.get("digest") == digest)
    return next(found, None) if str(reference).startswith(STAGE) else None


def lineage(manifests: Mapping[str, Mapping[str, Any]], stage: str) -> list[str]:
    """The stages that ``stage`` is made from, and itself, in the order of the run."""
    found = {stage}
    waiting = [stage]
    while waiting:
        params = params_of(manifests.get(waiting.pop(), {}))
        for reference in _strings(params):
            source = stage_named(manifests, reference)
            if source is not None and source not in found:
                found.add(source)
                waiting.append(source)
    return [name for name in manifests if name in found]


def params_of(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a stage was told: its parameters as they stand in its key."""
    return (manifest.get("key_inputs") or {}).get("params") or {}


def _strings(data: object) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping):
        for value in data.values():
            yield from _strings(value)
    elif isinstance(data, (list, tuple)):
        for value in data:
            yield from _strings(value)
