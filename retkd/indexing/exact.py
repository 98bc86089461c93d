"""Exact search with no index file: the memory-mapped vectors, block by block, through torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from retkd.indexing.base import IndexKind, SearchRows, Site


class ExactIndex(IndexKind):
    """The same lists as FAISS Flat, without FAISS, with one block of vectors in memory at a time."""

    kind: Literal["torch"] = "torch"

    def resolved(self, num_vectors: int, dim: int) -> dict[str, Any]:
        """Nothing depends on the corpus."""
        return self.model_dump()

    def build(self, resolved: Mapping[str, Any], vectors: np.ndarray, out: Path, site: Site) -> None:
        """The vectors are the index: there is nothing to write."""

    def open(self, resolved: Mapping[str, Any], vectors: np.ndarray, folder: Path, site: Site) -> SearchRows:
        """Search on ``site.device`` within ``site.memory_mib``."""
        from retkd.indexing.ties import exact_rows
        from retkd.topk import exact_topk

        def blockwise(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
            return exact_topk(queries, vectors, k, memory_mib=site.memory_mib, device=site.device)

        return lambda queries, k: exact_rows(blockwise, queries, vectors, k)
