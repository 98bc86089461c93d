"""Values of measures for each query, by ir_measures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retkd import trec
from retkd.errors import DataError
from retkd.evaluation.lists import recalls_in_lists
from retkd.evaluation.names import ir_measure, list_recall, measure_name
from retkd.trec import Run


@dataclass(frozen=True)
class Values:
    """``values[system, measure, query]`` in float64; the three lists name the axes. Every query is judged."""

    systems: list[str]
    measures: list[str]
    query_ids: list[str]
    values: np.ndarray

    def of(self, system: str, measure: str) -> np.ndarray:
        """Values ``[query]`` of one system by one measure."""
        return np.asarray(self.values[self.systems.index(system), self.measures.index(measure)])


def measured(
    runs: Iterable[tuple[str, Run]], qrels: Mapping[str, Mapping[str, int]], measures: Sequence[str]
) -> Values:
    """Every system by every measure on every judged query; one run is held at a time when ``runs`` is a generator.

    A judged query that a run has nothing for counts 0; queries without judgements are left out.
    Raises :class:`DataError` when no query is judged.
    """
    if not qrels:
        raise DataError(
            "there is nothing to evaluate: no query has judgements",
            allowed="at least one judged query",
            next_step="check the split's name and its qrels",
        )
    query_ids = sorted(qrels)
    names = [measure_name(measure) for measure in measures]
    values, systems = [], []
    for system, run in runs:
        systems.append(system)
        values.append(_per_query(system, run, qrels, query_ids, names))
    return Values(systems, names, query_ids, np.array(values).reshape(len(systems), len(names), len(query_ids)))


def _per_query(
    system: str, run: Run, qrels: Mapping[str, Mapping[str, int]], query_ids: Sequence[str], names: Sequence[str]
) -> np.ndarray:
    """Values ``[measure, query]``. ir_measures sees positions as scores, so that ties stay as the run ranks them."""
    import ir_measures

    ranking = {q: {doc_id: -float(i) for i, (doc_id, _) in enumerate(run[q])} for q in query_ids if run.get(q)}
    judged = {query_id: dict(qrels[query_id]) for query_id in query_ids}
    listed = {row: found for row, name in enumerate(names) if (found := list_recall(name)) is not None}
    rows = {ir_measure(name): row for row, name in enumerate(names) if row not in listed}
    columns = {query_id: column for column, query_id in enumerate(query_ids)}
    values = np.full((len(names), len(query_ids)), np.nan)
    for row, (num, cutoff) in listed.items():
        values[row] = recalls_in_lists(system, run, qrels, query_ids, num, cutoff)
    for metric in ir_measures.iter_calc(list(rows), judged, ranking):
        values[rows[metric.measure], columns[metric.query_id]] = metric.value
    assert np.isfinite(values).all(), "ir_measures gave no value for a judged query"
    return values


def measure_run_file(run: Path, qrels: Path, measures: Sequence[str]) -> dict[str, float]:
    """Means over the judged queries of a TREC run file against a judgements file (TREC or BEIR columns)."""
    values = measured([("run", trec.read_run(run))], trec.read_qrels(qrels), measures)
    return {name: float(values.of("run", name).mean()) for name in values.measures}
