"""Train and fill a FAISS index from a memory map, one block at a time."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import faiss
import numpy as np

from retkd.errors import DataError
from retkd.indexing.base import Site
from retkd.indexing.factory import FEWEST_PER_CENTROID, largest_codebook
from retkd.indexing.faiss_io import on_cpu, on_gpu
from retkd.progress import say, track

BLOCK_MIB = 16
ORDER_DEPENDENT = r"HNSW|NSG|OPQ|PCA|ITQ"


def built(resolved: Mapping[str, Any], vectors: np.ndarray, site: Site) -> Any:
    """A trained and filled CPU index. Vectors that are not finite raise :class:`DataError`.

    HNSW and NSG insert in whatever order their threads run, and LAPACK's transforms round by thread count: these are
    built with one thread, for the same bytes each time. Everything else uses all threads.
    """
    factory = resolved["factory"]
    index: Any = untrained(factory, vectors.shape[1])
    if resolved["ef_construction"] is not None:
        index.hnsw.efConstruction = resolved["ef_construction"]
    index = on_gpu(index, factory, site.device)
    with threads(1 if re.search(ORDER_DEPENDENT, factory) else site.threads):
        if not index.is_trained:
            _train(index, vectors, resolved, site.seed)
        with track(f"add {len(vectors):,} vectors to {factory}", total=len(vectors)) as step:
            for start, block in blocks(vectors):
                index.add(checked(block, start))
                step(len(block))
    return on_cpu(index)


def untrained(factory: str, dim: int) -> Any:
    """An empty CPU index. Raises :class:`DataError` when FAISS cannot make it for vectors of this width."""
    try:
        index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise DataError(
            "FAISS cannot make this index for vectors of this width",
            where=f"index recipe, factory {factory}",
            seen=f"{dim} dimensions; FAISS says: {str(error).split('Error:')[-1].strip()}",
            next_step="write PQ{m} for a number of bytes that divides the width, or take the index recipe sq8",
        ) from error
    _without_warnings(index)
    return index


def _without_warnings(index: Any) -> None:
    """FAISS warns of few training points once a codebook; :func:`_train` says it once."""
    inner: list[Any] = [faiss.downcast_index(index), faiss.try_extract_index_ivf(index)]
    for holder in [*inner, *(getattr(each, "pq", None) for each in inner)]:
        if hasattr(holder, "cp"):
            holder.cp.min_points_per_centroid = 1


def _train(index: Any, vectors: np.ndarray, resolved: Mapping[str, Any], seed: int) -> None:
    size = resolved["train_size"]
    rows = np.sort(np.random.default_rng(seed).choice(len(vectors), size, replace=False))
    few = FEWEST_PER_CENTROID * largest_codebook(resolved["factory"])
    if size < few:
        say(f"index {resolved['factory']}: trained on {size:,} vectors, fewer than the {few:,} that FAISS advises")
    index.train(np.ascontiguousarray(vectors[rows], dtype=np.float32))


def blocks(vectors: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, float32 block) of ``BLOCK_MIB``: no setting, since an HNSW graph depends on where it is cut."""
    rows = max(BLOCK_MIB * 2**20 // (4 * vectors.shape[1]), 1)
    for start in range(0, len(vectors), rows):
        yield start, np.ascontiguousarray(vectors[start : start + rows], dtype=np.float32)


def checked(block: np.ndarray, start: int) -> np.ndarray:
    """The block, when all of it is finite."""
    finite = np.isfinite(block).all(axis=1)
    if not finite.all():
        raise DataError(
            "a document's vector holds a number that is not finite",
            where=f"document number {start + int(np.argmin(finite))} of the collection",
            allowed="finite numbers",
            consequence="no search could ever rank it",
            next_step="look at that document's text and at the precision the encoder ran in",
        )
    return block


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """Run the block with this many FAISS threads; None leaves them alone."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(number or before)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
