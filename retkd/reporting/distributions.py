"""Score distributions: teachers' and miners' from the audits, students' from the evaluation."""

from collections.abc import Mapping
from typing import Any

from retkd.reporting.evidence import Evidence
from retkd.reporting.histogram import histogram, tones_of
from retkd.reporting.labels import label

TONES = ("student", "other", "teacher", "control")


def distribution_charts(evidence: Evidence) -> list[dict[str, Any]]:
    """Charts as ``{title, note, svg, legend: [(name, tone)]}``."""
    charts = [chart for stage, audit in evidence.audits.items() for chart in _of_audit(stage, audit)]
    evaluation = evidence.evaluation
    for system, told in evaluation.scores.get(evaluation.headline_split, {}).items():
        series = {"positives found": told["positive"], "all else in the ranking": told["other"]}
        charts.append(_chart(label(system), f"scores on {evaluation.headline_split}", told["edges"], series))
    return charts


def _of_audit(stage: str, audit: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One chart per scorer: ``NAME: positives`` and ``NAME: negatives`` of score_histograms share a chart."""
    scorers: dict[str, dict[str, Any]] = {}
    for name, told in (audit.get("score_histograms") or {}).items():
        scorer, _, group = name.partition(": ")
        scorers.setdefault(scorer, {})[group or "all"] = told
    where = f"{stage}, split {audit['split']}" if audit.get("split") else stage
    charts = []
    for scorer, groups in scorers.items():
        edges = next(iter(groups.values()))["edges"]
        series = {group: told["counts"] for group, told in groups.items() if told["edges"] == edges}
        title = "miner's score" if scorer == "score" else f"teacher {scorer}"
        charts.append(_chart(title, f"training lists of {where}", edges, series))
    return charts


def _chart(title: str, note: str, edges: list[float], series: Mapping[str, list[float]]) -> dict[str, Any]:
    legend = [(f"{name} ({sum(series[name]):,})", tone) for name, tone in tones_of(series, TONES).items()]
    return {"title": title, "note": note, "svg": histogram(edges, series, f"{title}, {note}", TONES), "legend": legend}
