"""What is kept of the runs of a split once they are measured: one run is in memory at a time."""

from collections.abc import Collection as Container
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retkd.evaluation.measures import Values, measured
from retkd.evaluation.score_histograms import score_histogram
from retkd.trec import Run


@dataclass(frozen=True)
class Judged:
    """``firsts`` is system -> query_id -> its first document; ``scores`` is system -> score histogram."""

    values: Values
    firsts: dict[str, dict[str, str]]
    scores: dict[str, dict[str, Any]]


def judged(
    runs: Iterable[tuple[str, Run]],
    qrels: Mapping[str, Mapping[str, int]],
    measures: Sequence[str],
    with_scores: Container[str],
) -> Judged:
    """Measure (system, run) after (system, run); histograms for the systems in ``with_scores``."""
    firsts: dict[str, dict[str, str]] = {}
    scores: dict[str, dict[str, Any]] = {}

    def kept() -> Iterator[tuple[str, Run]]:
        for system, run in runs:
            firsts[system] = {query_id: ranking[0][0] for query_id, ranking in run.items() if ranking}
            if system in with_scores:
                scores[system] = score_histogram(run, qrels)
            yield system, run

    return Judged(measured(kept(), qrels, measures), firsts, scores)
