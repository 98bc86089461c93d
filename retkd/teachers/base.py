"""What every teacher gives: one raw score per row of the tables that it is shown, and the scale of these scores."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from retkd.candidates import require_queries
from retkd.errors import ModelError, ScaleError
from retkd.pair_scores import require_count
from retkd.parts import Part, Scale
from retkd.stage import Inputs

RANGES: dict[Scale, tuple[float, float]] = {
    "probability": (0.0, 1.0),
    "log_probability": (-np.inf, 0.0),
    "cosine": (-1.0, 1.0),
    "distribution": (0.0, np.inf),
}
"""Where the scores of a scale lie; others lie anywhere. Weights of an unbiased distribution may exceed 1."""
ROUNDING = 0.01


@dataclass(frozen=True)
class Rows:
    """The rows of one split that are to be scored, and the whole table that they are in."""

    split: str
    table: pa.Table
    chosen: np.ndarray


@dataclass(frozen=True)
class Judgement:
    """Float32 scores of the chosen rows of each split, in order, with their scale. A split that is absent is not scored.

    ``num_new`` counts pairs that were run through a model now; ``truncation_rate`` is a share of the rows, or of the documents
    where each is read once; None where nothing is read here. ``unscored``
    marks chosen rows that the teacher left out, whose scores mean nothing: they become null. ``told`` goes into the
    metrics of the stage and is the same on each run, ``timings`` (what another run need not repeat) beside them, ``log``
    into NAME.log.jsonl.
    """

    scores: dict[str, np.ndarray]
    scale: Scale
    num_new: int = 0
    truncation_rate: float | None = None
    told: dict[str, Any] = field(default_factory=dict)
    unscored: dict[str, np.ndarray] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)


class Teacher(Part):
    """Scores rows. A subclass says how."""

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The scales that its scores may be on, one of which they will be; none: that is known when it has judged."""
        return ()

    def judge(self, name: str, splits: list[Rows], inputs: Inputs, work: Path) -> Judgement:
        """Scores of every chosen row. ``work`` is scratch that survives a kill."""
        raise NotImplementedError


def pair_texts(splits: list[Rows], inputs: Inputs) -> "PairTexts":
    """The texts of all chosen rows of all splits, each text once."""
    queries: dict[str, str] = {}
    pairs: list[tuple[str, str]] = []
    for rows in splits:
        found = {q.query_id: q.text for q in inputs.collection.queries(rows.split)}
        query_ids, doc_ids = (rows.table[c].take(pa.array(rows.chosen)).to_pylist() for c in ("query_id", "doc_id"))
        require_queries(query_ids, found, rows.split)
        queries |= {f"{rows.split}/{query_id}": found[query_id] for query_id in dict.fromkeys(query_ids)}
        pairs += zip((f"{rows.split}/{query_id}" for query_id in query_ids), doc_ids, strict=True)
    doc_ids = list(dict.fromkeys(doc_id for _, doc_id in pairs))
    documents = {d.doc_id: d.full_text for d in inputs.collection.documents_by_id(doc_ids)}
    return PairTexts(queries, documents, pairs)


@dataclass(frozen=True)
class PairTexts:
    """Texts by id and the pairs of ids, in the order of the rows. Query ids carry their split."""

    queries: dict[str, str]
    documents: dict[str, str]
    pairs: list[tuple[str, str]]


def by_split(splits: list[Rows], values: np.ndarray) -> dict[str, np.ndarray]:
    """Cut one array over all chosen rows into one per split."""
    ends = np.cumsum([len(rows.chosen) for rows in splits])
    return {rows.split: part for rows, part in zip(splits, np.split(values, ends[:-1]), strict=True)}


def require_whole(name: str, splits: list[Rows], judged: Judgement) -> None:
    """Raise :class:`ModelError` unless each chosen row of a judged split has one finite score, or is marked as unscored.

    A score that lies where its scale has none is a :class:`ScaleError`.
    """
    for rows in splits:
        if rows.split not in judged.scores:
            continue
        where, count = f"teacher {name}, split {rows.split}", len(rows.chosen)
        unscored = judged.unscored.get(rows.split, np.zeros(count, dtype=bool))
        require_count(judged.scores[rows.split], count, where)
        require_count(unscored, count, f"{where}: what it left unscored")
        bad = np.flatnonzero(~np.isfinite(judged.scores[rows.split]) & ~unscored)
        if len(bad):
            row = rows.table.slice(int(rows.chosen[bad[0]]), 1).to_pylist()[0]
            raise ModelError(
                f"the teacher gave {len(bad):,} scores that are not finite",
                where=f"{where}: query_id {row['query_id']!r}, doc_id {row['doc_id']!r}",
                seen=float(judged.scores[rows.split][bad[0]]),
                next_step="look at the texts of that pair and at the precision the teacher runs in",
            )
        _require_range(judged.scores[rows.split][~unscored], judged.scale, where)


def _require_range(scores: np.ndarray, scale: Scale, where: str) -> None:
    """Raise :class:`ScaleError` when a score lies where its scale has none."""
    lowest, highest = RANGES.get(scale, (-np.inf, np.inf))
    outside = scores[(scores < lowest - ROUNDING) | (scores > highest + ROUNDING)]
    if len(outside):
        raise ScaleError(
            f"{len(outside):,} of {len(scores):,} scores lie outside of their scale, {scale}",
            where=where,
            seen=float(outside[0]),
            allowed=f"{lowest:g} to {highest:g}",
            consequence="filters and objectives that read this scale would take them for what they are not",
            next_step="name the scale that the numbers have: a re-ranker's raw output is a logit, a dot product unbounded",
        )
