"""Score distributions: teachers' and miners' from the audits, students' from the evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retkd.reporting.evidence import Evidence
from retkd.reporting.figures import plain, true_minus
from retkd.reporting.histogram import histogram, tones_of
from retkd.reporting.labels import label

TONES = ("student", "other", "teacher", "control")
LEAST = 0.25
"""The share of a common axis that each distribution on it has at least; else each has an axis of its own."""


@dataclass(frozen=True)
class Panel:
    """Distributions over common bins, in a ``group`` of the page. Those of one ``scale`` can be compared."""

    group: str
    title: str
    where: str
    scale: str
    edges: Sequence[float]
    series: Mapping[str, Sequence[float]]

    @property
    def note(self) -> str:
        """Whose scores, and from where to where they lie."""
        low, high = (true_minus(plain(float(f"{edge:.3g}"))) for edge in (self.edges[0], self.edges[-1]))
        return f"{self.where}{low} to {high}"


def distribution_charts(evidence: Evidence) -> dict[str, list[dict[str, Any]]]:
    """Group -> charts as ``{title, note, svg, legend: [(name, tone)]}``."""
    scales = _scales(evidence.manifests)
    panels = [panel for stage, audit in evidence.audits.items() for panel in _of_audit(stage, audit, scales)]
    evaluation = evidence.evaluation
    kinds, group = evaluation.protocol["systems"], f"Rankings on {evaluation.headline_split}"
    for system, told in evaluation.scores.get(evaluation.headline_split, {}).items():
        series = {"positives found": told["positive"], "all else in the ranking": told["other"]}
        panels.append(Panel(group, label(system), "", f"system {kinds[system]}", told["edges"], series))
    return {
        group: [_chart(panel, axis(panel, panels)) for panel in panels if panel.group == group]
        for group in dict.fromkeys(panel.group for panel in panels)
    }


def axis(panel: Panel, panels: Sequence[Panel]) -> tuple[float, float]:
    """The range of all panels of this one's scale, where each has its share of it; else the panel's own."""
    ranges = [(each.edges[0], each.edges[-1]) for each in panels if each.scale == panel.scale]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    narrowest = min(right - left for left, right in ranges)
    return (low, high) if narrowest >= LEAST * (high - low) else (panel.edges[0], panel.edges[-1])


def _scales(manifests: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Teacher -> scale of its scores, as the stages that score tell it."""
    scoring = [manifest for manifest in manifests.values() if manifest.get("kind") == "score"]
    told = [(name, of) for each in scoring for name, of in (each.get("metrics") or {}).items()]
    return {name: of["scale"] for name, of in told if isinstance(of, Mapping) and "scale" in of}


def _of_audit(stage: str, audit: Mapping[str, Any], scales: Mapping[str, str]) -> list[Panel]:
    """One panel per scorer: ``NAME: positives`` and ``NAME: negatives`` of score_histograms share a panel."""
    scorers: dict[str, dict[str, Any]] = {}
    for name, told in (audit.get("score_histograms") or {}).items():
        scorer, _, group = name.partition(": ")
        scorers.setdefault(scorer, {})[group or "all"] = told
    where = f"{stage}, split {audit['split']}: " if audit.get("split") else f"{stage}: "
    panels = []
    for scorer, groups in scorers.items():
        edges = next(iter(groups.values()))["edges"]
        series = {group: told["counts"] for group, told in groups.items() if told["edges"] == edges}
        title = "miner's score" if scorer == "score" else f"teacher {scorer}"
        scale = f"teacher {scales[scorer]}" if scorer in scales else title
        panels.append(Panel("Training lists", title, where, scale, edges, series))
    return panels


def _chart(panel: Panel, x: tuple[float, float]) -> dict[str, Any]:
    series, words = panel.series, f"{panel.title}, {panel.note}"
    legend = [(f"{name} ({sum(series[name]):,})", tone) for name, tone in tones_of(series, TONES).items()]
    svg = histogram(panel.edges, series, words, TONES, x)
    return {"title": panel.title, "note": panel.note, "svg": svg, "legend": legend}
