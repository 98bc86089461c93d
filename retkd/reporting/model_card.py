"""The model card: a README.md that a hub and a reader understand, made from the manifests of the run."""

from collections.abc import Mapping
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from retkd.reporting.costs import leaves
from retkd.reporting.evidence import Evidence
from retkd.reporting.figures import number, p_value, percent, plain
from retkd.reporting.headline import band, headline
from retkd.reporting.labels import label
from retkd.reporting.lineage import lineage, params_of, stage_named, stage_of_system
from retkd.reporting.results import Row, result_rows

TAGS = [
    "sentence-transformers",
    "sentence-similarity",
    "feature-extraction",
    "retrieval",
    "knowledge-distillation",
    "retkd",
]
USE = {
    "dense": {
        "loads": "SentenceTransformer",
        "what": "A dense retrieval student distilled with retkd. It maps queries and documents to vectors that are compared "
        "by inner product.",
    },
    "sparse": {
        "loads": "SparseEncoder",
        "what": "A sparse retrieval student distilled with retkd. It maps queries and documents to weights of terms, which "
        "an inverted index holds and which are compared by inner product.",
    },
    "late_interaction": {
        "loads": "MultiVectorEncoder",
        "what": "A late-interaction student distilled with retkd. It maps queries and documents to one vector for each "
        "token, compared by MaxSim: the sum over the query's tokens of the nearest of the document's.",
    },
}
"""Kind of the evaluated system -> the class of sentence-transformers that loads it, and what it is."""
HUB_METRICS = {"nDCG": "ndcg", "MRR": "mrr", "MAP": "map", "R": "recall", "P": "precision"}


def model_card(evidence: Evidence, *, license: str | None = None, base_model: str | None = None) -> str:
    """Markdown with YAML front matter: results, training data, teacher, objective, use, limits, manifest keys.

    ``license`` is what the owner of the student declares; without it the card says that none is declared.
    ``base_model`` is read from the train stage's recipe where the manifest has it.
    """
    evaluation = evidence.evaluation
    student = stage_of_system(evidence, evaluation.protocol["student"])
    stages = lineage(evidence.manifests, student) if student else []
    base_model = base_model or _base_model(evidence, student)
    split = evaluation.headline_split
    rows = result_rows(evaluation.measures[split])
    environment = Environment(
        loader=PackageLoader("retkd.reporting"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "p_value": p_value, "percent": percent, "plain": plain, "label": label}
    environment.filters |= {"cell": cell, "band": band}
    return environment.get_template("model_card.md.j2").render(
        front_matter=_front_matter(evidence, rows, license, base_model),
        name=evidence.recipe,
        use=USE.get(evaluation.protocol.get("systems", {}).get(evaluation.protocol["student"]), USE["dense"]),
        evaluation=evaluation,
        headline=headline(evaluation),
        split=split,
        rows=rows,
        gap=evaluation.gap[split],
        base_model=base_model,
        base_digest=_base_digest(evidence, student),
        license=license,
        student=evidence.manifests.get(student or "", {}),
        objective=_objective(evidence, student),
        teachers=_teachers(evidence, stages),
        training=_training(evidence, student),
        collection=list(leaves(evidence.collection)),
        widths=_widths(evidence),
        keys=[(name, evidence.manifests[name]) for name in [*stages, evaluation.name]],
    )


def cell(text: str) -> str:
    """A text inside a Markdown table: one line, bars escaped.

    >>> cell("a | b\\nc")
    'a \\\\| b c'
    """
    return " ".join(text.split()).replace("|", "\\|")


def _front_matter(evidence: Evidence, rows: list[Row], license: str | None, base_model: str | None) -> str:
    evaluation = evidence.evaluation
    told: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": TAGS,
    }
    told |= {"license": license} if license else {}
    told |= {"base_model": base_model} if base_model and "/" in base_model and ":" not in base_model else {}
    student = next((row for row in rows if row.system == evaluation.protocol["student"]), None)
    if student is not None:
        metrics = [_hub_metric(name, student.cells[name].mean) for name in evaluation.protocol["measures"]]
        told["metrics"] = [metric["type"] for metric in metrics]
        dataset = {"name": f"{evidence.dataset} {evaluation.headline_split}", "type": evidence.dataset}
        dataset["split"] = evaluation.headline_split
        task = {"type": "information-retrieval", "name": "Information Retrieval"}
        told["model-index"] = [
            {"name": evidence.recipe, "results": [{"task": task, "dataset": dataset, "metrics": metrics}]}
        ]
    return str(yaml.safe_dump(told, sort_keys=False, allow_unicode=True)).strip()


def _hub_metric(measure: str, value: float) -> dict[str, Any]:
    name, at, cutoff = measure.partition("@")
    return {
        "type": f"{HUB_METRICS.get(name, name.lower())}{at and '_at_'}{cutoff}",
        "name": measure,
        "value": round(value, 6),
    }


def _base_model(evidence: Evidence, student: str | None) -> str | None:
    """The base as the recipe names it, where the manifest keeps the recipe's words under ``config``."""
    manifest = evidence.manifests.get(student or "", {})
    told = (manifest.get("config") or {}).get("student") or params_of(manifest).get("student") or {}
    base = _base(told)
    return None if base is None or str(base).startswith(("stage:", "model:")) else str(base)


def _base(student: dict[str, Any]) -> Any:
    """Of a student of two towers that of the documents, which queries are trained towards."""
    return student.get("base") or (student.get("document") or {}).get("base")


def _base_digest(evidence: Evidence, student: str | None) -> str | None:
    """Twelve digits of the digest of the base model's files."""
    base = str(_base(params_of(evidence.manifests.get(student or "", {})).get("student") or {}))
    return base.partition(":")[2][:12] or None


def _widths(evidence: Evidence) -> list[str]:
    """A sentence where the measured vectors were cut, and one for each export of that student in another width."""
    systems = params_of(evidence.manifests.get(evidence.evaluation.name, {})).get("systems") or {}
    student = systems.get(evidence.evaluation.protocol["student"]) or {}
    index = stage_named(evidence.manifests, student.get("index"))
    measured = params_of(evidence.manifests.get(index or "", {})).get("dim")
    told = [] if measured is None else [f"These results are of {_cut(measured)}."]
    for name, manifest in evidence.manifests.items():
        params = params_of(manifest)
        if (
            manifest.get("kind") == "export"
            and params.get("model") == student.get("model")
            and params.get("dim") != measured
        ):
            same = "without `dim`" if measured is None else f"with `dim: {measured}`"
            told.append(f"The stage `{name}` exports {_cut(params.get('dim'))}; {same} it exports what was measured.")
    return told


def _cut(dim: int | None) -> str:
    return (
        "whole vectors" if dim is None else f"vectors cut to their first {dim} coordinates and made unit vectors again"
    )


def _objective(evidence: Evidence, student: str | None) -> list[str]:
    terms = params_of(evidence.manifests.get(student or "", {})).get("objective") or []
    return [_term(evidence, term) for term in terms]


def _term(evidence: Evidence, term: Mapping[str, Any]) -> str:
    """The kind and what was set, the terms that it wraps last."""
    rest = [
        f"{key.replace('_', ' ')} {_told(evidence, value)}"
        for key, value in term.items()
        if key not in ("kind", "terms") and value is not None
    ]
    inner = [_term(evidence, each) for each in term.get("terms") or []]
    rest += [f"of {' + '.join(inner)}"] if inner else []
    return f"`{term['kind']}`" + (f" ({', '.join(rest)})" if rest else "")


def _told(evidence: Evidence, value: object) -> str:
    """A value in words: the name of the stage where it is a reference to one."""
    if isinstance(value, list):
        return " and ".join(_told(evidence, each) for each in value)
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key.replace('_', ' ')} {_told(evidence, each)}" for key, each in value.items()) + ")"
    stage = stage_named(evidence.manifests, value)
    return plain(value) if stage is None else f"`{stage}`"


def _teachers(evidence: Evidence, stages: list[str]) -> list[str]:
    """One line per teacher column that the score stages behind the student made."""
    lines = []
    for name in stages:
        for teacher, told in (params_of(evidence.manifests[name]).get("teachers") or {}).items():
            model = str(told.get("model") or "")
            stage = stage_named(evidence.manifests, model)
            source = f"trained in this run by the stage `{stage}`" if stage else f"`{model[:26]}`" if model else ""
            lines.append(f"`{teacher}`: {told.get('kind')}" + (f", {source}" if source else ""))
    return lines


def _training(evidence: Evidence, student: str | None) -> list[tuple[str, str]]:
    """Counts of the training: what the train stage reports, but for its losses, whose scale means nothing elsewhere."""
    manifest = evidence.manifests.get(student or "", {})
    told = [(what, value) for what, value in leaves(manifest.get("metrics") or {}) if "loss" not in what]
    return [*told, ("candidate rows", plain(manifest["rows"]["in"]))] if manifest else []
