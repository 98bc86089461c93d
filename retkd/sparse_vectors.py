"""Term weights of a whole collection by a sparse encoder, encoded once: shards of scipy CSR matrices that survive a kill.

The store is addressed like that of dense vectors (:mod:`retkd.vectors`). A shard stays as it was written; the list of ids
comes last, so that a folder with ``doc_ids.txt`` is whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from retkd.collections.base import Collection
from retkd.shards import ranges, shard_map, shard_name
from retkd.sparse_encoder import SparseEncoder
from retkd.stage import Model, Runtime
from retkd.topk import merged, stable_topk
from retkd.vectors import DocIds, address_of, documents_per_shard, write_doc_ids, write_documents


@dataclass(frozen=True)
class SparseVectors:
    """The shards, in the order of the collection."""

    folder: Path
    paths: tuple[Path, ...]

    @property
    def doc_ids(self) -> DocIds:
        """Document ids in the order of the rows."""
        return DocIds(self.folder / "doc_ids.txt")

    def matrices(self) -> Iterator[Any]:
        """One CSR matrix ``[document, vocab]`` at a time."""
        from scipy.sparse import csr_matrix

        for path in self.paths:
            with np.load(path) as shard:
                parts = shard["data"], shard["indices"], shard["indptr"]
                yield csr_matrix(parts, shape=tuple(shard["shape"]))


def sparse_vectors(
    encoder: SparseEncoder, model: Model, collection: Collection, store: Path, runtime: Runtime
) -> SparseVectors:
    """The term weights of every document: read from the store, or encoded into it."""
    size = documents_per_shard(collection.num_documents)
    folder = store / "sparse" / address_of(encoder, model, collection, size)
    plan = ranges(collection.num_documents, size)
    paths = tuple(folder / "shards" / shard_name(i, len(plan), "npz") for i in range(len(plan)))
    if not (folder / "doc_ids.txt").exists():

        def encoded(texts: list[str]) -> dict[str, Any]:
            weights, cut = encoder.encode_sparse(texts, "document", runtime.tokens_per_batch)
            parts = {"data": weights.data, "indices": weights.indices, "indptr": weights.indptr}
            return {**parts, "shape": np.array(weights.shape), "cut": cut}

        write = partial(write_documents, encoded, collection, plan)
        shard_map(write, paths, label=f"encode {collection.num_documents:,} documents sparsely (shards)")
        write_doc_ids(paths, folder)
    return SparseVectors(folder, paths)


def sparse_topk(queries: Any, vectors: SparseVectors, k: int, memory_mib: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores ``[query, k]`` (float32, descending) and rows ``[query, k]`` by inner product; equal scores by row.

    A document that shares no term with the query scores minus infinity: it was not found.
    ``queries`` is a CSR matrix ``[query, vocab]``. One shard at a time is in memory, and its scores for as many queries
    as fit into ``memory_mib``. ``k`` is cut at the number of documents.
    """
    import torch

    k = min(k, len(vectors.doc_ids))
    best = torch.empty((queries.shape[0], 0)), torch.empty((queries.shape[0], 0), dtype=torch.int64)
    first = 0
    for matrix in vectors.matrices():
        terms = matrix.T.tocsr()
        at_once = max(int(memory_mib * 2**20 / (12 * max(matrix.shape[0], 1))), 1)
        tops = []
        for start in range(0, queries.shape[0], at_once):
            scores = torch.from_numpy((queries[start : start + at_once] @ terms).toarray())
            scores.masked_fill_(scores <= 0, -torch.inf)
            tops.append(stable_topk(scores, min(k, matrix.shape[0])))
        if tops:
            top = torch.cat([scores for scores, _ in tops]), torch.cat([rows for _, rows in tops]) + first
            best = merged(best, top, k)
        first += matrix.shape[0]
    return best[0].numpy(), best[1].numpy()
