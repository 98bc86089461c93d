"""How much of the exact ranking an index keeps."""

from functools import partial

import numpy as np

from retkd.indexing.search import SearchIndex
from retkd.indexing.ties import exact_rows
from retkd.topk import exact_topk


def recall_at(
    index: SearchIndex, k: int, num_queries: int, seed: int, *, memory_mib: int = 512, device: str = "cpu"
) -> float:
    """Mean share of the exact ``k`` nearest documents that the index finds, for a sample of documents as queries.

    The document itself is left out of both lists. Equal scores stand in document order in both, so an exact index has
    1.0 also where documents are duplicates. 1.0 when there are no other documents.
    """
    vectors = index.vectors
    k = min(k, len(vectors) - 1)
    if k <= 0:
        return 1.0
    rows = np.sort(np.random.default_rng(seed).choice(len(vectors), min(num_queries, len(vectors)), replace=False))
    queries = np.ascontiguousarray(vectors[rows], dtype=np.float32)
    blockwise = partial(_blockwise, vectors, memory_mib, device)
    _, exact = exact_rows(blockwise, queries, vectors, k + 1)
    _, found = index.search_rows(queries, k + 1)
    hits = [
        len(set(_without(own, true, k)) & set(_without(own, seen, k)))
        for own, true, seen in zip(rows.tolist(), exact.tolist(), found.tolist(), strict=True)
    ]
    return float(np.mean(hits) / k)


def _blockwise(
    vectors: np.ndarray, memory_mib: int, device: str, queries: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    return exact_topk(queries, vectors, k, memory_mib=memory_mib, device=device)


def _without(own: int, rows: list[int], k: int) -> list[int]:
    return [row for row in rows if row not in (own, -1)][:k]
