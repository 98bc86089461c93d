"""Term weights of a whole collection by a sparse encoder, encoded once: shards of scipy CSR matrices that survive a kill.

The store is addressed like that of dense vectors (:mod:`retkd.encoders.vectors`). A shard stays as it was written; the
list of ids comes last, so that a folder with ``doc_ids.txt`` is whole.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retkd.collections.base import Collection
from retkd.encoders.sparse_encoder import SparseEncoder
from retkd.encoders.vectors import DocIds, DocumentShards, write_doc_ids
from retkd.stage import Model, Runtime
from retkd.topk import merged, stable_topk


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
        return map(read_matrix, self.paths)

    def rows(self, doc_ids: Iterable[str]) -> tuple[Any, dict[str, int]]:
        """A CSR matrix ``[document, vocab]`` of these documents alone, and the row of each: 8 bytes for each of their terms."""
        from scipy.sparse import vstack

        wanted, ids, kept, first = set(doc_ids), self.doc_ids, [], 0
        found: dict[str, int] = {}
        for matrix in self.matrices():
            here = ids[first : first + matrix.shape[0]]
            rows = np.array([row for row, doc_id in enumerate(here) if doc_id in wanted], dtype=np.int64)
            found |= {here[row]: len(found) + place for place, row in enumerate(rows.tolist())}
            kept.append(matrix[rows])
            first += matrix.shape[0]
        return vstack(kept, format="csr"), found

    def postings(self) -> Iterator[Any]:
        """The same matrices turned over, ``[vocab, document]``: for each term the documents that have it."""
        return (matrix.T.tocsr() for matrix in self.matrices())

    @property
    def truncation_rate(self) -> float:
        """Share of the documents that were cut at the encoder's maximum length."""
        cuts = [int(np.load(path)["cut"]) for path in self.paths]
        return sum(cuts) / max(len(self.doc_ids), 1)


def read_matrix(path: Path) -> Any:
    """The CSR matrix in a .npz file."""
    from scipy.sparse import csr_matrix

    with np.load(path) as shard:
        parts = shard["data"], shard["indices"], shard["indptr"]
        return csr_matrix(parts, shape=tuple(shard["shape"]))


def arrays_of(matrix: Any) -> dict[str, np.ndarray]:
    """What :func:`read_matrix` reads, of a CSR matrix."""
    parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
    return {**parts, "shape": np.array(matrix.shape)}


def sparse_vectors(
    encoder: SparseEncoder, model: Model, collection: Collection, store: Path, runtime: Runtime
) -> SparseVectors:
    """The term weights of every document: read from the store, or encoded into it."""
    shards = DocumentShards.of("sparse", encoder, model, collection, store)
    if not (shards.folder / "doc_ids.txt").exists():

        def encoded(texts: list[str]) -> dict[str, Any]:
            weights, cut = encoder.encode_sparse(texts, "document", runtime.tokens_per_batch)
            return {**arrays_of(weights), "cut": np.array(cut)}

        shards.write(encoded, f"encode {collection.num_documents:,} documents sparsely (shards)")
        write_doc_ids(shards.paths, shards.folder)
    return SparseVectors(shards.folder, tuple(shards.paths))


def sparse_topk(
    queries: Any, postings: Iterable[Any], num_documents: int, k: int, memory_mib: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores ``[query, k]`` (float32, descending) and rows ``[query, k]`` by inner product; equal scores by row.

    A document that shares no term with the query scores minus infinity: it was not found.
    ``queries`` is a CSR matrix ``[query, vocab]``; ``postings`` are those of shards, ``[vocab, document]``, in the order
    of the documents. One shard at a time is in memory, and its scores for as many queries as fit into ``memory_mib``.
    ``k`` is cut at the number of documents.
    """
    import torch

    k = min(k, num_documents)
    best = torch.empty((queries.shape[0], 0)), torch.empty((queries.shape[0], 0), dtype=torch.int64)
    first = 0
    for terms in postings:
        num_here = terms.shape[1]
        at_once = max(int(memory_mib * 2**20 / (12 * max(num_here, 1))), 1)
        tops = []
        for start in range(0, queries.shape[0], at_once):
            scores = torch.from_numpy((queries[start : start + at_once] @ terms).toarray())
            scores.masked_fill_(scores <= 0, -torch.inf)
            tops.append(stable_topk(scores, min(k, num_here)))
        if tops:
            top = torch.cat([scores for scores, _ in tops]), torch.cat([rows for _, rows in tops]) + first
            best = merged(best, top, k)
        first += num_here
    return best[0].numpy(), best[1].numpy()


def sparsity(queries: Any, having: np.ndarray, num_documents: int) -> dict[str, float]:
    """How many terms texts have, and ``flops``: how many a query and a document share on average, were terms to stand
    where they do by chance alone (Paria et al. 2020).

    ``queries`` is a CSR matrix ``[query, vocab]``; ``having`` the number of documents that have each term, ``[vocab]``.
    """
    num_documents = max(num_documents, 1)
    return {
        "active_terms_per_query": round(float(queries.nnz / max(queries.shape[0], 1)), 2),
        "active_terms_per_document": round(float(having.sum() / num_documents), 2),
        "flops": round(float(num_having(queries) / max(queries.shape[0], 1) @ having) / num_documents, 4),
    }


def num_having(weights: Any) -> np.ndarray:
    """The number of texts that have each term, ``[vocab]``, from a CSR matrix ``[text, vocab]``."""
    return np.bincount(weights.indices, minlength=weights.shape[1])
