"""Exact search by MaxSim: every query's tokens against every document's, block by block."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from retkd.encoders.vectors import DocIds
from retkd.indexing.artifact import take, write_description
from retkd.indexing.base import EncodedIndex, Site
from retkd.stage import Inputs, Metrics, Model, Searcher

FILES = ("vectors.npy", "starts.npy", "doc_ids.txt")


class MaxSimIndex(EncodedIndex):
    """No document is left out before it is scored, unlike PLAID and other two-stage searches: the cost of a query grows
    with the collection. Right up to some 100,000 passages; the vectors are memory-mapped, 4 x dim bytes a token."""

    READS: ClassVar[str] = "late_interaction_encoder"
    GIVES: ClassVar[str] = "late_interaction_index"

    kind: Literal["maxsim"] = "maxsim"

    def index(self, model: Model, inputs: Inputs, device: str, out: Path) -> Metrics:
        """Write ``vectors.npy`` ``[token, dim]``, ``starts.npy``, ``doc_ids.txt`` and ``index.json``."""
        from retkd.encoders.late_interaction_encoder import LateInteractionEncoder
        from retkd.encoders.token_vectors import token_vectors

        began = time.perf_counter()
        encoder = LateInteractionEncoder.load(model.path, device)
        corpus = token_vectors(encoder, model, inputs.collection, inputs.store, inputs.runtime)
        encoded = time.perf_counter()
        take(corpus.folder, FILES, out)
        num_documents, num_tokens = len(corpus.doc_ids), len(corpus.vectors)
        told = {"recipe": self.model_dump(), "similarity": "maxsim", "dim": encoder.dim, "num_vectors": num_tokens}
        write_description(out, told | {"model_digest": model.digest})
        size = (out / "vectors.npy").stat().st_size
        return Metrics(
            rows_in=num_documents,
            rows_out=num_documents,
            values={
                "index": "maxsim",
                "dim": encoder.dim,
                "vectors_per_document": round(num_tokens / max(num_documents, 1), 2),
                "sizes": {"vectors_bytes": size},
            },
            truncation_rate={"documents": corpus.truncation_rate},
            timings={"encode_seconds": encoded - began, "build_seconds": time.perf_counter() - encoded},
        )

    def opened(self, told: Mapping[str, Any], folder: Path, site: Site) -> Searcher:
        """Search on ``site.device`` within ``site.memory_mib``."""
        return TokenIndex(told, folder, site)


class TokenIndex:
    """An opened index of token vectors; queries are :class:`retkd.encoders.late_interaction_encoder.TokenRows`."""

    def __init__(self, told: Mapping[str, Any], folder: Path, site: Site) -> None:
        self.told = told
        self.doc_ids: Sequence[str] = DocIds(folder / "doc_ids.txt")
        self._vectors = np.load(folder / "vectors.npy", mmap_mode="r")
        self._starts = np.load(folder / "starts.npy")
        self._site = site

    def search(self, queries: Any, k: int) -> tuple[np.ndarray, list[list[str]]]:
        """Scores ``[query, k]``, descending, and the documents' ids."""
        from retkd.encoders.token_vectors import maxsim_topk

        site = self._site
        scores, rows = maxsim_topk(
            queries, self._vectors, self._starts, k, memory_mib=site.memory_mib, device=site.device
        )
        found = [row[: int(np.isfinite(top).sum())] for top, row in zip(scores, rows.tolist(), strict=True)]
        return scores, [[self.doc_ids[row] for row in each] for each in found]
