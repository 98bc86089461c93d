"""Vectors of every token of a whole collection, encoded once: shards that survive a kill, then one memory-mapped file.

The store is addressed like that of dense vectors (:mod:`retkd.encoders.vectors`). ``starts.npy`` says where a document's
vectors begin.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from retkd.collections.base import Collection
from retkd.encoders.late_interaction_encoder import LateInteractionEncoder, TokenRows
from retkd.encoders.vectors import CorpusVectors, DocumentShards, join
from retkd.shards import atomic
from retkd.stage import Model, Runtime
from retkd.topk import leave_pages, merged, stable_topk

QUERIES_AT_ONCE = 32


class CorpusTokens(CorpusVectors):
    """``vectors`` is a memory map ``[token, dim]``; those of document i are ``vectors[starts[i]:starts[i + 1]]``."""

    @property
    def starts(self) -> np.ndarray:
        """Int64 ``[document + 1]``."""
        found: np.ndarray = np.load(self.folder / "starts.npy")
        return found


def token_vectors(
    encoder: LateInteractionEncoder, model: Model, collection: Collection, store: Path, runtime: Runtime
) -> CorpusTokens:
    """The token vectors of every document: read from the store, or encoded into it."""
    shards = DocumentShards.of("tokens", encoder, model, collection, store)
    if not (shards.folder / "vectors.npy").exists():

        def encoded(texts: list[str]) -> dict[str, Any]:
            rows, cut = encoder.encode_tokens(texts, "document", runtime.tokens_per_batch)
            return {"vectors": rows.vectors, "lengths": rows.lengths, "cut": cut}

        shards.write(encoded, f"encode the tokens of {collection.num_documents:,} documents (shards)")
        lengths = np.concatenate([np.zeros(1, np.int64), *(np.load(path)["lengths"] for path in shards.paths)])
        with atomic(shards.folder / "starts.npy") as temporary, temporary.open("wb") as out:
            np.save(out, np.cumsum(lengths, dtype=np.int64))
        join(shards, int(lengths.sum()), encoder.dim)
    return CorpusTokens(shards.folder)


def maxsim_topk(
    queries: TokenRows, vectors: np.ndarray, starts: np.ndarray, k: int, *, memory_mib: int = 512, device: str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Scores ``[query, k]`` (float32, descending) and rows ``[query, k]`` by MaxSim, exact; equal scores by row.

    ``vectors`` may be a memory map: one block of whole documents and its products with the tokens of 32 queries are in
    memory at a time, within ``memory_mib`` but for a document longer than that. A document without a vector scores minus
    infinity. ``k`` is cut at the number of documents.
    """
    import torch

    k = min(k, len(starts) - 1)
    scores, rows = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    for first in range(0, len(queries), QUERIES_AT_ONCE):
        last = min(first + QUERIES_AT_ONCE, len(queries))
        begins = queries.starts[first : last + 1]
        tokens = torch.from_numpy(np.array(queries.vectors[begins[0] : begins[-1]], dtype=np.float32)).to(device)
        best = torch.empty((last - first, 0)), torch.empty((last - first, 0), dtype=torch.int64)
        for start, stop in _blocks(starts, vectors.shape[1], len(tokens), memory_mib):
            block = torch.from_numpy(np.array(vectors[starts[start] : starts[stop]], dtype=np.float32)).to(device)
            found = _maxsim((block @ tokens.T).cpu().numpy(), starts[start : stop + 1], begins)
            top, places = stable_topk(torch.from_numpy(found), min(k, stop - start))
            best = merged(best, (top, places + start), k)
            leave_pages(vectors)
        scores[first:last], rows[first:last] = best[0].numpy(), best[1].numpy()
    return scores, rows


def _maxsim(products: np.ndarray, starts: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """``[query, document]`` from products ``[document token, query token]`` and where documents and queries begin."""
    scores = np.full((len(begins) - 1, len(starts) - 1), -np.inf, dtype=np.float32)
    documents, queries = np.flatnonzero(np.diff(starts)), np.flatnonzero(np.diff(begins))
    if not len(documents) or not len(queries):
        return scores
    best = np.maximum.reduceat(products, starts[documents] - starts[0], axis=0)
    sums = np.add.reduceat(best, begins[queries] - begins[0], axis=1)
    scores[np.ix_(queries, documents)] = sums.T
    return scores


def _blocks(starts: np.ndarray, dim: int, num_query_tokens: int, memory_mib: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of documents whose vectors, as they lie and in float32, and products fit."""
    most = max(int(memory_mib * 2**20 / (4 * (2 * dim + 2 * num_query_tokens))), 1)
    start = 0
    while start < len(starts) - 1:
        stop = int(np.searchsorted(starts, starts[start] + most, side="right")) - 1
        stop = min(max(stop, start + 1), len(starts) - 1)
        yield start, stop
        start = stop
