"""Charts of the stages that train: a loss curve each, and one dev chart for each measure that they looked at."""

from collections.abc import Mapping
from typing import Any

from retkd.reporting.evidence import Evidence
from retkd.reporting.labels import tone
from retkd.reporting.line_chart import Series, line_chart
from retkd.reporting.lineage import stage_of_system


def training_charts(evidence: Evidence) -> list[dict[str, Any]]:
    """Charts as ``{title, note, svg, legend: [(name, tone)]}``."""
    tones = _tones(evidence)
    return [*_loss_charts(evidence, tones), *_dev_charts(evidence, tones)]


def _loss_charts(evidence: Evidence, tones: Mapping[str, str]) -> list[dict[str, Any]]:
    charts = []
    for name, trace in evidence.traces.items():
        points = [(row["step"], row["loss"]) for row in trace if "loss" in row]
        if points:
            svg = line_chart([Series(name, tones[name], points)], f"training loss of {name}", smooth=True)
            note = f"loss over {points[-1][0]:,} steps, {points[0][1]:.3f} → {points[-1][1]:.3f}"
            charts.append({"title": name, "note": note, "svg": svg, "legend": []})
    return charts


def _dev_charts(evidence: Evidence, tones: Mapping[str, str]) -> list[dict[str, Any]]:
    by_measure: dict[str, list[Series]] = {}
    for name, trace in evidence.traces.items():
        looks = [row for row in trace if row.get("dev")]
        for measure in dict.fromkeys(measure for row in looks for measure in row["dev"]):
            points = [(row["step"], row["dev"][measure]) for row in looks if measure in row["dev"]]
            by_measure.setdefault(measure, []).append(Series(name, tones[name], points))
    return [
        {
            "title": f"dev {measure}",
            "note": "candidates of dev queries, re-ranked during training",
            "svg": line_chart(series, f"dev {measure} over training steps"),
            "legend": [(line.name, line.tone) for line in series],
        }
        for measure, series in by_measure.items()
    ]


def _tones(evidence: Evidence) -> dict[str, str]:
    systems = {stage_of_system(evidence, system): tone(system) for system in evidence.evaluation.protocol["systems"]}
    spare = iter(("teacher", "other", "bm25") * len(evidence.traces))
    return {name: systems.get(name) or next(spare) for name in evidence.traces}
