"""An order that does not depend on how a search computes: score descending, then the document's row."""

from collections.abc import Callable

import numpy as np

TOLERANCE = 1e-5
SPARE = 32


def exact_rows(
    search: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]], queries: np.ndarray, vectors: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The exact top k of an exhaustive search: scores ``[query, k]`` float32 and rows ``[query, k]``.

    Matrix products round differently from library to library and even by position, so equal documents would be
    ordered by chance. Here the search only proposes: everything within ``TOLERANCE`` of the k-th score is scored again
    in float64, rounded to float32 and ordered by (score, row). FAISS and torch then give the same lists.
    """
    k = min(k, len(vectors))
    scores = np.empty((len(queries), k), dtype=np.float32)
    rows = np.empty((len(queries), k), dtype=np.int64)
    for start in range(0, len(queries), 256):
        chunk = queries[start : start + 256]
        proposed = proposals(search, chunk, k, len(vectors))
        for at, (query, near) in enumerate(zip(chunk, proposed, strict=True), start):
            scores[at], rows[at] = _rescored(query, near, vectors, k)
    return scores, rows


def proposals(
    search: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]], queries: np.ndarray, k: int, num_rows: int
) -> list[np.ndarray]:
    """For each query, in ascending order, every row whose score is within the tolerance of the k-th best."""
    width = min(k + SPARE, num_rows)
    while True:
        scores, rows = search(queries, width)
        lowest = scores[:, k - 1] - TOLERANCE * np.abs(scores).max(axis=1)
        if width == num_rows or bool((scores[:, -1] < lowest).all()):
            return [np.sort(r[s >= low]) for s, r, low in zip(scores, rows, lowest, strict=True)]
        width = min(2 * width, num_rows)


def _rescored(query: np.ndarray, rows: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    parts = [vectors[rows[i : i + 4096]].astype(np.float64) for i in range(0, len(rows), 4096)]
    scores = np.concatenate([np.einsum("rd,d->r", part, query.astype(np.float64)) for part in parts]).astype(np.float32)
    order = np.argsort(-scores, kind="stable")[:k]
    return scores[order], rows[order]


def in_order(scores: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What an approximate search gave, with equal scores ordered by row; rows that were not found (-1) stay last."""
    found = rows >= 0
    scores = np.where(found, scores, -np.inf).astype(np.float32)
    order = np.lexsort((np.where(found, rows, np.iinfo(np.int64).max), -scores), axis=1)
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)
