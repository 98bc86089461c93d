"""Exact search by term weights: an inverted index, for each term the documents that have it and how much."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from retkd.encoders.vectors import DocIds
from retkd.indexing.artifact import take, write_description
from retkd.indexing.base import EncodedIndex, Site
from retkd.shards import shard_map, shard_name
from retkd.stage import Inputs, Metrics, Model, Searcher

SAMPLED_QUERIES = 256


class InvertedIndex(EncodedIndex):
    """Postings ``[vocab, document]`` in shards of documents: exact, with one shard in memory at a time."""

    READS: ClassVar[str] = "sparse_encoder"
    GIVES: ClassVar[str] = "sparse_index"

    kind: Literal["inverted"] = "inverted"

    def index(self, model: Model, inputs: Inputs, device: str, out: Path) -> Metrics:
        """Write ``postings/``, ``doc_ids.txt`` and ``index.json``; how sparse documents and queries are."""
        from retkd.encoders.sparse_encoder import SparseEncoder
        from retkd.encoders.sparse_vectors import arrays_of, read_matrix, sparse_vectors

        began = time.perf_counter()
        encoder = SparseEncoder.load(model.path, device)
        vectors = sparse_vectors(encoder, model, inputs.collection, inputs.store, inputs.runtime)
        encoded = time.perf_counter()
        paths = [out / "postings" / shard_name(i, len(vectors.paths), "npz") for i in range(len(vectors.paths))]

        def write(shard: int, path: Path) -> None:
            with path.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays_of(read_matrix(vectors.paths[shard]).T.tocsr()))

        shard_map(write, paths, label="turn the term weights over (shards)")
        take(vectors.folder, ["doc_ids.txt"], out)
        told = {"recipe": self.model_dump(), "similarity": "inner_product", "dim": encoder.dim, "shards": len(paths)}
        write_description(out, told | {"num_vectors": len(vectors.doc_ids), "model_digest": model.digest})
        metrics = self._measured(encoder, vectors, inputs, paths)
        metrics.timings = {"encode_seconds": encoded - began, "build_seconds": time.perf_counter() - encoded}
        return metrics

    def _measured(self, encoder: Any, vectors: Any, inputs: Inputs, paths: Sequence[Path]) -> Metrics:
        from retkd.encoders.sparse_vectors import num_having, sparsity

        queries = encoder.represented(_sampled(inputs), "query", inputs.runtime.tokens_per_batch)
        num_documents, having = len(vectors.doc_ids), np.zeros(encoder.dim, dtype=np.int64)
        for matrix in vectors.matrices():
            having += num_having(matrix)
        values = {
            "index": "inverted",
            "dim": encoder.dim,
            **sparsity(queries, having, num_documents),
            "sizes": {"index_bytes": sum(path.stat().st_size for path in paths)},
        }
        cut = {"documents": vectors.truncation_rate}
        return Metrics(rows_in=num_documents, rows_out=num_documents, values=values, truncation_rate=cut)

    def opened(self, told: Mapping[str, Any], folder: Path, site: Site) -> Searcher:
        """Search shard by shard within ``site.memory_mib``."""
        return Postings(told, folder, site.memory_mib)


class Postings:
    """An opened inverted index; queries are a scipy CSR matrix ``[query, vocab]``."""

    def __init__(self, told: Mapping[str, Any], folder: Path, memory_mib: int) -> None:
        self.told = told
        self.doc_ids: Sequence[str] = DocIds(folder / "doc_ids.txt")
        self._paths = [folder / "postings" / shard_name(i, told["shards"], "npz") for i in range(told["shards"])]
        self._memory_mib = memory_mib

    def search(self, queries: Any, k: int) -> tuple[np.ndarray, list[list[str]]]:
        """Scores ``[query, k]``, descending, and the ids of the documents that share a term with the query."""
        from retkd.encoders.sparse_vectors import sparse_topk

        scores, rows = sparse_topk(queries, self._matrices(), len(self.doc_ids), k, self._memory_mib)
        found = [row[: int((top > 0).sum())] for top, row in zip(scores, rows.tolist(), strict=True)]
        return scores, [[self.doc_ids[row] for row in each] for each in found]

    def sparsity(self, queries: Any) -> dict[str, float]:
        """How many terms these queries and the documents have and share: :func:`retkd.encoders.sparse_vectors.sparsity`."""
        from retkd.encoders.sparse_vectors import sparsity

        having = sum((np.diff(terms.indptr) for terms in self._matrices()), np.zeros(queries.shape[1], dtype=np.int64))
        return sparsity(queries, having, len(self.doc_ids))

    def _matrices(self) -> Iterator[Any]:
        from retkd.encoders.sparse_vectors import read_matrix

        return map(read_matrix, self._paths)


def _sampled(inputs: Inputs) -> list[str]:
    """The first queries of the collection's last split."""
    queries = inputs.collection.queries(inputs.collection.splits[-1])
    return [query.text for query in queries[:SAMPLED_QUERIES]]
