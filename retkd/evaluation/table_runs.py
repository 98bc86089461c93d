"""Runs that stand in a candidates table: the miner's ranking, and a teacher's reranking of it."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from retkd.candidates import TEACHER, groups, only_mined, scale_of
from retkd.trec import Run


def mined_run(rows: pa.Table, depth: int) -> Run:
    """The first ``depth`` documents of each query by the miner's rank.

    Where the miner's scores do not fall with its ranks (merged sources), the ranks count and a score becomes -rank.
    """
    return {query_id: _by_rank(doc_ids[:depth], scores[:depth]) for query_id, doc_ids, scores in _lists(rows, "score")}


def reranked_run(rows: pa.Table, teacher: str, depth: int) -> Run:
    """The first ``depth`` documents by descending score of ``teacher``; ties by the miner's rank.

    Documents that the teacher did not score follow by the miner's rank, with made-up scores one apart below the lowest.
    Raises :class:`DataError` when the table has no such teacher, or its column no scale.
    """
    scale_of(rows, teacher)
    lists = _lists(rows, TEACHER + teacher)
    return {query_id: _by_teacher(doc_ids, scores)[:depth] for query_id, doc_ids, scores in lists}


def _lists(rows: pa.Table, column: str) -> Iterator[tuple[str, list[str], np.ndarray]]:
    """(query_id, document ids, values of ``column`` in float32, null as NaN) for each query, by rank."""
    rows = only_mined(rows)
    doc_ids = rows["doc_id"].to_pylist()
    values = rows[column].to_numpy(zero_copy_only=False).astype(np.float32)
    for query_id, start, stop in groups(rows):
        yield query_id, doc_ids[start:stop], values[start:stop]


def _by_rank(doc_ids: Sequence[str], scores: np.ndarray) -> list[tuple[str, float]]:
    if np.any(scores[1:] > scores[:-1]):
        scores = -np.arange(1, len(doc_ids) + 1)
    return [(doc_id, float(score)) for doc_id, score in zip(doc_ids, scores, strict=True)]


def _by_teacher(doc_ids: Sequence[str], scores: np.ndarray) -> list[tuple[str, float]]:
    order = np.argsort(-scores, kind="stable")
    num_scored = int(np.isfinite(scores).sum())
    floor = float(scores[order[num_scored - 1]]) if num_scored else 0.0
    scored = [(doc_ids[i], float(scores[i])) for i in order[:num_scored]]
    return scored + [(doc_ids[i], floor - below) for below, i in enumerate(order[num_scored:], start=1)]
