"""Does an export rank as the model that was evaluated? Measures and top-10 overlap, not cosine alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from retkd.encoders import all_scores, written_out
from retkd.errors import ParityError
from retkd.exporters.base import Encodes, Limits
from retkd.exporters.sample import Sample

DEPTH = 100
NEAR = 1e-5
"""Scores closer than this are a tie: the 10th and 11th document may then change places."""

Ranking = dict[str, list[tuple[str, float]]]
Measure = Callable[[Mapping[str, Ranking], Mapping[str, Mapping[str, int]]], dict[str, dict[str, float]]]
"""(name -> ranking, judgements) -> name -> measure -> mean over the judged queries."""


@dataclass(frozen=True)
class Vectors:
    """What an encoder made of the queries and documents of a sample, in its order: vectors, term weights, token vectors."""

    queries: Any
    documents: Any

    @cached_property
    def scores(self) -> np.ndarray:
        """``[query, doc]``."""
        return all_scores(self.queries, self.documents)

    @property
    def rows(self) -> np.ndarray:
        """Every vector of both, in float64."""
        return np.concatenate([written_out(self.queries), written_out(self.documents)]).astype(np.float64)


def vectors_of(encoder: Encodes, sample: Sample, tokens_per_batch: int | None) -> Vectors:
    """The sample as one encoder sees it."""
    return Vectors(
        encoder.represented(list(sample.queries.values()), "query", tokens_per_batch),
        encoder.represented(list(sample.documents.values()), "document", tokens_per_batch),
    )


def compared(model: Vectors, export: Vectors, sample: Sample, measure: Measure) -> dict[str, Any]:
    """How far the export is from the model. Measures are of the sample: higher than on a whole big collection."""
    means = measure({"model": _ranking(model, sample), "export": _ranking(export, sample)}, sample.qrels)
    both = [model.rows, export.rows]
    return {
        "queries": len(sample.queries),
        "documents": len(sample.documents),
        "max_difference": float(np.abs(both[0] - both[1]).max()),
        "min_cosine": float(_cosines(*both).min()),
        "top10_overlap": top10_overlap(model, export),
        "measures": {name: {"model": value, "export": means["export"][name]} for name, value in means["model"].items()},
    }


def _cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Row by row; 1 where both are zero, as a text without a term is for a sparse encoder."""
    lengths = np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1)
    cosines: np.ndarray = np.einsum("td,td->t", one, other) / np.maximum(lengths[0] * lengths[1], 1e-12)
    return np.where((lengths[0] == 0) & (lengths[1] == 0), 1.0, cosines)


def _ranking(vectors: Vectors, sample: Sample) -> Ranking:
    """Best first. Scores are rounded to ``NEAR``, so that equal documents stand in the same order for both."""
    doc_ids = list(sample.documents)
    ranking = {}
    for query_id, row in zip(sample.queries, vectors.scores, strict=True):
        scores = np.round(row / NEAR)
        best = np.argsort(-scores, kind="stable")[:DEPTH]
        ranking[query_id] = [(doc_ids[row], float(scores[row] * NEAR)) for row in best]
    return ranking


def top10_overlap(model: Vectors, export: Vectors) -> float:
    """Mean share of the export's ten best that the model scores at least as high as its own tenth, but for ``NEAR``."""
    k = min(10, model.scores.shape[1])
    shares = []
    for scores, other in zip(model.scores, export.scores, strict=True):
        tenth = np.partition(scores, -k)[-k]
        best = np.argsort(-other, kind="stable")[:k]
        shares.append(np.count_nonzero(scores[best] >= tenth - NEAR) / k)
    return float(np.mean(shares))


def require(told: Mapping[str, Any], limits: Limits, kind: str, report: Path) -> None:
    """Raise :class:`ParityError` that names every limit that is broken, with both values."""
    broken = _broken(told, limits)
    if broken:
        raise ParityError(
            f"the export {kind} does not rank as the model does",
            where=report,
            seen="; ".join(seen for seen, _ in broken),
            allowed="; ".join(dict.fromkeys(allowed for _, allowed in broken)),
            consequence="what was evaluated is not what would be served",
            next_step=f"mend the export, or loosen `parity` of the target {kind} if this loss is acceptable",
        )


def _broken(told: Mapping[str, Any], limits: Limits) -> list[tuple[str, str]]:
    """(what was seen, what is allowed) of each broken limit."""
    most = limits.max_measure_difference
    found = [
        (
            f"{name} is {of['model']:.4f} by the model and {of['export']:.4f} by the export",
            f"a measure may differ by {most:g} (max_measure_difference)",
        )
        for name, of in told["measures"].items()
        if not abs(of["model"] - of["export"]) <= most
    ]
    for name in ("top10_overlap", "min_cosine"):
        least = getattr(limits, f"min_{name}" if name == "top10_overlap" else name)
        if not told[name] >= least:
            words = name.replace("_", " ").replace("min ", "lowest ")
            found.append((f"{words} {told[name]:.4f}", f"{words} of at least {least:g}"))
    if not told["max_difference"] <= limits.max_difference:
        seen = f"vectors differ by up to {told['max_difference']:.2g}"
        found.append((seen, f"vectors may differ by {limits.max_difference:g} (max_difference)"))
    return found
