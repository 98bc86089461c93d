"""A FAISS index by its factory string."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from retkd.indexing.base import IndexKind, SearchRows, Site
from retkd.indexing.exact import ExactIndex
from retkd.indexing.factory import filled, problem_of, training_size

FILE = "index.faiss"


class FaissIndex(IndexKind):
    """Everything that ``faiss.index_factory`` makes. ``{nlist}`` and ``{m}`` are filled in from the corpus."""

    kind: Literal["faiss"] = "faiss"
    factory: str = Field(description="such as Flat, HNSW32,Flat, IVF{nlist},Flat, IVF{nlist},PQ{m}x8np, SQ8")
    metric: Literal["inner_product"] = "inner_product"
    search: dict[str, int] = Field(default={}, description="FAISS search parameters: nprobe, efSearch, ...")
    ef_construction: int | None = Field(default=None, ge=1, description="how widely HNSW's build looks; default: 40")
    train_size: int | None = Field(default=None, ge=1, description="vectors to train on; default: 64 a centroid")

    @model_validator(mode="after")
    def _understood(self) -> "FaissIndex":
        problem = problem_of(self.factory, self.search, self.ef_construction)
        if problem:
            raise ValueError(problem)
        return self

    def resolved(self, num_vectors: int, dim: int) -> dict[str, Any]:
        """The factory string with numbers, and how many vectors it is trained on; None when it needs no training."""
        from retkd.indexing.faiss_build import untrained

        factory = filled(self.factory, num_vectors, dim)
        trained = untrained(factory, dim).is_trained
        size = None if trained else training_size(factory, num_vectors, dim, self.train_size)
        return self.model_dump() | {"factory": factory, "train_size": size}

    def build(self, resolved: Mapping[str, Any], vectors: np.ndarray, out: Path, site: Site) -> None:
        """Write ``index.faiss``, unless an attempt that was cut short had finished it."""
        from retkd.indexing.faiss_build import built
        from retkd.indexing.faiss_io import write

        if not (out / FILE).exists():
            write(built(resolved, vectors, site), out / FILE)

    def open(self, resolved: Mapping[str, Any], vectors: np.ndarray, folder: Path, site: Site) -> SearchRows:
        """Search through FAISS; a Flat index gives its lists in the exact order (see :mod:`retkd.indexing.ties`).

        Flat on a GPU is searched by torch, which gives the same lists and has no limit on k (FAISS' is 2,048 there).
        """
        from retkd.indexing.faiss_io import opened
        from retkd.indexing.ties import exact_rows, in_order

        exact = resolved["factory"] == "Flat"
        if exact and site.device != "cpu":
            return ExactIndex().open(resolved, vectors, folder, site)
        index = opened(folder / FILE, resolved["factory"], resolved["search"], site)

        def search(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
            return index.search(np.ascontiguousarray(queries, dtype=np.float32), min(k, index.ntotal))  # type: ignore[no-any-return]

        if exact:
            return lambda queries, k: exact_rows(search, queries, vectors, k)
        return lambda queries, k: in_order(*search(queries, k))
