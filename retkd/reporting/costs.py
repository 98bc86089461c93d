"""What each stage cost; nested numbers as written facts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from retkd.reporting.figures import ABSENT, duration, percent, plain, size
from retkd.reporting.labels import spaced


@dataclass(frozen=True)
class StageCost:
    """One row of the table of stages. ``share`` is its wall time in percent of the longest stage's."""

    name: str
    kind: str
    wall: str
    share: float
    memory: str
    rows: str
    dropped: list[tuple[str, int]]
    truncation: str
    disk: str
    resumed: bool


def stage_costs(manifests: Mapping[str, Mapping[str, Any]]) -> list[StageCost]:
    """The stages in the order of the run."""
    longest = max((manifest.get("wall_seconds") or 0.0 for manifest in manifests.values()), default=0.0) or 1.0
    return [_cost(name, manifest, longest) for name, manifest in manifests.items()]


def total_wall(manifests: Mapping[str, Mapping[str, Any]]) -> str:
    """Wall time of all stages together."""
    return duration(sum(manifest.get("wall_seconds") or 0.0 for manifest in manifests.values()))


def peak_memory(manifests: Mapping[str, Mapping[str, Any]]) -> str:
    """The highest peak of any stage."""
    return size(2**20 * max((manifest.get("peak_memory_mib") or 0.0 for manifest in manifests.values()), default=0.0))


def leaves(data: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """(words, written value) of every leaf of nested data.

    >>> list(leaves({"parity": {"top10_overlap": 0.99}, "sizes": {"onnx_bytes": 2048}}))
    [('parity · top10 overlap', '0.99'), ('sizes · onnx', '2.00 KiB')]
    """
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from leaves(value, (*path, str(key)))
    elif isinstance(data, (list, tuple)) and any(isinstance(item, (Mapping, list, tuple)) for item in data):
        for position, value in enumerate(data):
            yield from leaves(value, (*path, str(position)))
    else:
        yield _leaf(path, data)


def _leaf(path: tuple[str, ...], value: object) -> tuple[str, str]:
    words = " · ".join(spaced(step) for step in path)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if words.endswith(" bytes"):
            return words.removesuffix(" bytes"), size(value)
        if words.endswith(" seconds"):
            return words.removesuffix(" seconds"), duration(value)
    if isinstance(value, (list, tuple)):
        return words, ", ".join(plain(item) for item in value) or ABSENT
    return words, plain(value)


def _cost(name: str, manifest: Mapping[str, Any], longest: float) -> StageCost:
    wall = manifest.get("wall_seconds") or 0.0
    rows = manifest.get("rows") or {}
    cut = manifest.get("truncation_rate") or {}
    whose = "queries: " if cut and manifest.get("kind") == "evaluate" else ""
    return StageCost(
        name=name,
        kind=manifest.get("kind", ""),
        wall=duration(wall),
        share=100 * wall / longest,
        memory=size(2**20 * (manifest.get("peak_memory_mib") or 0.0)),
        rows=f"{rows['in']:,} → {rows['out']:,}" if rows.get("in") or rows.get("out") else ABSENT,
        dropped=[(reason, count) for reason, count in (rows.get("dropped") or {}).items() if count],
        truncation=whose + ", ".join(f"{name} {percent(rate, 1)}" for name, rate in cut.items()) or ABSENT,
        disk=size(sum(output["bytes"] for output in (manifest.get("outputs") or {}).values())),
        resumed=bool(manifest.get("resumed")),
    )
