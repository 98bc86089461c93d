"""Search a published index: query vectors in, scores and document ids out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from retkd.encoders.truncation import shortened
from retkd.encoders.vectors import DocIds
from retkd.errors import ModelError
from retkd.indexing import INDEXES
from retkd.indexing.artifact import read_description
from retkd.indexing.base import IndexKind, SearchRows, Site
from retkd.parts import one_of
from retkd.stage import Runtime, Searcher


def open_index(folder: Path, device: str = "cpu", memory_mib: int = 512) -> Any:
    """Whatever the stage `index` published in ``folder``, ready to be searched: a :class:`SearchIndex` of dense vectors,
    or another :class:`Searcher`. Raises :class:`WorkspaceError` where there is none.
    """
    told = read_description(folder)
    kind = TypeAdapter(one_of(INDEXES)).validate_python(told["recipe"])
    site = Site(device=device, memory_mib=memory_mib)
    if not isinstance(kind, IndexKind):
        return kind.opened(told, folder, site)
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    search_rows = kind.open(told["resolved"], vectors, folder, site)
    return SearchIndex(told, vectors, DocIds(folder / "doc_ids.txt"), search_rows)


def open_for(runtime: Runtime, folder: Path) -> Searcher:
    """The same on the device of a run."""
    from retkd.resources import device

    found: Searcher = open_index(folder, device(runtime.device, runtime.threads), runtime.memory_mib)
    return found


class SearchIndex:
    """An opened index folder: ``index.json``, ``doc_ids.txt``, ``vectors.npy`` and, with FAISS, ``index.faiss``."""

    def __init__(
        self, told: dict[str, Any], vectors: np.ndarray, doc_ids: Sequence[str], search_rows: SearchRows
    ) -> None:
        self.told = told
        self.vectors = vectors
        self.doc_ids = doc_ids
        self._search_rows = search_rows

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, list[list[str]]]:
        """Scores ``[query, k]`` (float32, descending) and the document ids of each query.

        Equal scores stand in document order. ``k`` is cut at the number of documents. An approximate index may find
        fewer: then a query's list is shorter than its row of scores, which ends in minus infinity.
        """
        scores, rows = self.search_rows(queries, k)
        return scores, [[self.doc_ids[row] for row in found if row >= 0] for found in rows.tolist()]

    def search_rows(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`search`, with document numbers ``[query, k]``, -1 where fewer were found.

        Queries as wide as the documents were before the index cut them are cut in the same way.
        """
        dim = self.vectors.shape[1]
        if queries.ndim == 2 and dim < queries.shape[1] == self.told.get("full_dim"):
            queries = shortened(queries, dim)
        if queries.ndim != 2 or queries.shape[1] != dim:
            raise ModelError(
                "the query vectors do not fit this index",
                seen=f"shape {queries.shape}",
                allowed=f"[query, {dim}]",
                consequence="they come from another encoder than the documents",
                next_step=f"encode queries with the model that made the index: {self.told['model_digest'][:12]}",
            )
        k = min(k, len(self.vectors))
        if not len(queries):
            return np.zeros((0, k), dtype=np.float32), np.zeros((0, k), dtype=np.int64)
        return self._search_rows(queries, k)
