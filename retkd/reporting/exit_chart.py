"""Quality against speed of a student's exits: one chart for each training that has several."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retkd.reporting.evidence import Evidence
from retkd.reporting.figures import number
from retkd.reporting.line_chart import dot, path
from retkd.reporting.lineage import STAGE, params_of, stage_named
from retkd.reporting.svg import Frame, span, text

TIMED = re.compile(r"exit(\d+)\.documents_per_second")


@dataclass(frozen=True)
class Exit:
    """One depth: its measure on the headline split, milliseconds for a single query, documents a second."""

    layers: int
    measure: float
    query_ms: float
    documents_per_second: float

    @property
    def told(self) -> str:
        """In words."""
        layers = "1 layer" if self.layers == 1 else f"{self.layers} layers"
        speed = f"{self.query_ms:.1f} ms a query, {self.documents_per_second:,.0f} documents a second"
        return f"{layers}: {number(self.measure)}, {speed}"


def exit_charts(evidence: Evidence) -> list[dict[str, Any]]:
    """Charts as ``{title, note, svg, legend: [(name, tone)]}``, of exits that the evaluation has as systems."""
    primary = evidence.evaluation.protocol["primary"]
    charts = []
    for stage, manifest in evidence.manifests.items():
        exits = _exits(evidence, stage, manifest.get("timings") or {})
        if exits:
            title = f"{stage}: {primary} on {evidence.evaluation.headline_split}"
            note = "; ".join(exit.told for exit in exits)
            charts.append({"title": title, "note": note, "svg": _drawn(exits, title), "legend": []})
    return charts


def _exits(evidence: Evidence, stage: str, timings: Mapping[str, float]) -> list[Exit]:
    layers = sorted(int(timed.group(1)) for name in timings if (timed := TIMED.fullmatch(name)))
    means = evidence.evaluation.measures[evidence.evaluation.headline_split]
    primary = evidence.evaluation.protocol["primary"]
    params = params_of(evidence.manifests.get(evidence.evaluation.name, {}))
    models = {name: str(system.get("model")) for name, system in (params.get("systems") or {}).items()}
    found: dict[int, Exit] = {}
    for system, model in models.items():
        if layers and system in means and stage_named(evidence.manifests, model) == stage:
            exit = int(model.removeprefix(STAGE).partition(":exit")[2] or layers[-1])
            speeds = (timings[f"exit{exit}.{what}"] for what in ("ms_per_single_query", "documents_per_second"))
            found[exit] = Exit(exit, means[system][primary]["mean"], *speeds)
    return [found[exit] for exit in sorted(found)]


def _drawn(exits: list[Exit], title: str) -> str:
    frame = Frame(
        x=span((exit.documents_per_second for exit in exits), around_zero=True, margin=0.2),
        y=span((exit.measure for exit in exits), margin=0.2),
    )
    points = [(exit.documents_per_second, exit.measure) for exit in exits]
    drawn = [path(frame, points, "line student")]
    for point, exit in zip(points, exits, strict=True):
        drawn.append(dot(frame, point, "student"))
        told = f"exit {exit.layers} · {exit.query_ms:.1f} ms"
        drawn.append(text(frame.px(point[0]), frame.py(point[1]) - 8, told, "middle"))
    return frame.drawn(drawn, title, "documents a second")
