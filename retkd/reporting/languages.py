"""The table by language: one row per evaluation, split and pair of languages, one column per system."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retkd.reporting.evidence import Evaluation, Evidence
from retkd.reporting.figures import number
from retkd.reporting.labels import label


@dataclass(frozen=True)
class LanguageTable:
    """The means of one measure. ``rows``: (where, pair of languages, number of queries, a value per system)."""

    measure: str
    systems: list[str]
    rows: list[tuple[str, str, int, list[str]]]


def language_tables(evidence: Evidence) -> list[LanguageTable]:
    """One table per primary measure of the evaluations that tell languages, the leading evaluation first."""
    measures: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for evaluation in (evidence.evaluation, *evidence.others):
        for split in evaluation.splits:
            for pair, told in (evaluation.languages.get(split) or {}).items():
                found = measures.setdefault(evaluation.protocol["primary"], [])
                found.append((_where(evidence, evaluation, split), pair, told))
    return [_table(measure, rows) for measure, rows in measures.items()]


def _where(evidence: Evidence, evaluation: Evaluation, split: str) -> str:
    return split if evaluation is evidence.evaluation else f"{evaluation.name}: {split}"


def _table(measure: str, found: list[tuple[str, str, Mapping[str, Any]]]) -> LanguageTable:
    systems = list(dict.fromkeys(system for _, _, told in found for system in told["means"]))
    rows = [
        (where, pair, told["num_queries"], [number(told["means"].get(s, {}).get(measure)) for s in systems])
        for where, pair, told in found
    ]
    return LanguageTable(measure, [label(system) for system in systems], rows)
