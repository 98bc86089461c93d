"""report.html: one self-contained page. Nothing is loaded, every text is escaped, light and dark follow the reader."""

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from retkd.reporting import figures, judged, labels
from retkd.reporting.costs import leaves, peak_memory, stage_costs, total_wall
from retkd.reporting.distributions import distribution_charts
from retkd.reporting.evidence import Evaluation, Evidence
from retkd.reporting.exit_chart import exit_charts
from retkd.reporting.gap_chart import bars, meter
from retkd.reporting.headline import closed, headline
from retkd.reporting.languages import language_tables
from retkd.reporting.results import result_rows
from retkd.reporting.speeds import sizes_and_speeds
from retkd.reporting.training import training_charts

MOST_OUTPUTS = 24
"""Output files of a manifest that are listed; the rest are counted."""


def render(evidence: Evidence) -> str:
    """The page as text."""
    found = headline(evidence.evaluation)
    page = _environment().get_template("report.html.j2")
    return page.render(
        recipe=evidence.recipe,
        made=max((m.get("created") or "" for m in evidence.manifests.values()), default=""),
        headline=found,
        evaluation=evidence.evaluation,
        splits=[_split(evidence.evaluation, split) for split in evidence.evaluation.splits],
        others=[(other, [_split(other, split) for split in other.splits]) for other in evidence.others],
        exits=exit_charts(evidence),
        languages=language_tables(evidence),
        training=training_charts(evidence),
        distributions=distribution_charts(evidence),
        audits=evidence.audits,
        disagreements=evidence.disagreements,
        costs=stage_costs(evidence.manifests),
        total_wall=total_wall(evidence.manifests),
        peak_memory=peak_memory(evidence.manifests),
        speeds=sizes_and_speeds(evidence.manifests),
        collection=list(leaves(evidence.collection)),
        manifests=[(name, manifest, _listed(manifest)) for name, manifest in evidence.manifests.items()],
        versions=_versions(evidence),
        retkd_version=_own_version(),
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("retkd.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = (
        (figures, "number signed p_value percent plain"),
        (labels, "label tone spaced"),
        (judged, "drawn compared"),
    )
    for module, names in words:
        environment.filters |= {name: getattr(module, name) for name in names.split()}
    environment.filters["svg"] = Markup
    environment.filters["is_code"] = is_code
    return environment


def is_code(text: str) -> bool:
    """Whether a text wants a fixed-width face: it has indented lines.

    >>> is_code("def f():\\n    return 1"), is_code("A passage. And more.")
    (True, False)
    """
    return any(line.startswith(("  ", "\t")) and line.strip() for line in text.splitlines())


def _split(evaluation: Evaluation, split: str) -> dict[str, Any]:
    rows = result_rows(evaluation.measures[split])
    primary = evaluation.protocol["primary"]
    return {
        "name": split,
        "rows": rows,
        "measures": evaluation.protocol["measures"],
        "queries": evaluation.protocol["queries"][split],
        "headline": headline(evaluation, split),
        "bars": bars(rows, primary),
        "gap": evaluation.gap[split],
        "meter": meter(evaluation.gap[split]),
        "closed": closed(evaluation.gap[split]),
        "won_lost": evaluation.won_lost.get(split) or {"won": [], "lost": []},
    }


def _listed(manifest: Mapping[str, Any]) -> str:
    """A manifest as JSON text, with a long list of outputs cut."""
    outputs = manifest.get("outputs") or {}
    if len(outputs) <= MOST_OUTPUTS:
        return json.dumps(manifest, indent=2, ensure_ascii=False)
    kept: dict[str, Any] = dict(list(outputs.items())[:MOST_OUTPUTS])
    kept["…"] = f"and {len(outputs) - MOST_OUTPUTS} more"
    return json.dumps({**manifest, "outputs": kept}, indent=2, ensure_ascii=False)


def _versions(evidence: Evidence) -> dict[str, str]:
    """Versions that the stages ran with; a package with several says all of them."""
    found: dict[str, list[str]] = {}
    for manifest in evidence.manifests.values():
        for package, number in (manifest.get("versions") or {}).items():
            if number not in found.setdefault(package, []):
                found[package].append(number)
    return {package: " and ".join(several) for package, several in found.items()}


def _own_version() -> str:
    try:
        return version("retkd")
    except PackageNotFoundError:
        return "not installed as a package"
