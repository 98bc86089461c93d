"""FAISS factory strings: the numbers that depend on the corpus, and what training needs."""

import math
import re
from collections.abc import Mapping

from retkd.errors import DataError

PLACEHOLDERS = ("{nlist}", "{m}")
VECTORS_PER_CENTROID = 64
FEWEST_PER_CENTROID = 39
PARAMETERS = ("nprobe", "efSearch", "k_factor_rf", "max_codes", "ht")


def filled(factory: str, num_vectors: int, dim: int) -> str:
    """The factory string with ``{nlist}`` and ``{m}`` as numbers.

    ``nlist`` is the greatest power of two with nlist <= 4 sqrt(n) and 39 nlist <= n (FAISS' own least number of
    training vectors a centroid); ``m``, bytes of a product-quantised vector, the greatest divisor of dim up to dim / 8.

    >>> filled("IVF{nlist},PQ{m}x8np", 8_841_823, 384)
    'IVF8192,PQ48x8np'
    >>> filled("IVF{nlist},Flat", 5000, 384)
    'IVF128,Flat'
    """
    most = max(min(4 * math.isqrt(num_vectors), num_vectors // FEWEST_PER_CENTROID), 1)
    nlist = 2 ** int(math.log2(most))
    m = max(d for d in range(1, max(dim // 8, 1) + 1) if dim % d == 0)
    return factory.replace("{nlist}", str(nlist)).replace("{m}", str(m))


def largest_codebook(factory: str) -> int:
    """Centroids of the largest codebook that has to be trained; 0 when nothing is clustered.

    >>> largest_codebook("IVF1024,PQ48x8np"), largest_codebook("IVF64,PQ16"), largest_codebook("HNSW32,Flat")
    (1024, 256, 0)
    """
    lists = [int(n) for n in re.findall(r"IVF(\d+)", factory)]
    codes = [2 ** int(bits or 8) for bits in re.findall(r"PQ\d+(?:x(\d+))?", factory)]
    return max(lists + codes, default=0)


def training_size(factory: str, num_vectors: int, dim: int, asked: int | None) -> int:
    """How many vectors to train on. Raises :class:`DataError` when there are fewer than centroids."""
    codebook = largest_codebook(factory)
    size = min(asked or VECTORS_PER_CENTROID * max(codebook, dim), num_vectors)
    if size < codebook:
        raise DataError(
            "there are too few vectors to train this index",
            where=f"index recipe, factory {factory}",
            seen=f"{num_vectors:,} documents, {size:,} of them to train on",
            allowed=f"at least {codebook:,} (one a centroid), better {FEWEST_PER_CENTROID * codebook:,}",
            next_step="take the index recipe flat, hnsw or sq8, which cluster nothing"
            + (", or raise train_size" if num_vectors >= codebook else ""),
        )
    return size


def problem_of(factory: str, search: Mapping[str, int], ef_construction: int | None) -> str | None:
    """What is wrong with a recipe's strings, found on an empty index before anything runs; None when nothing is."""
    try:
        import faiss
    except ImportError:
        return "kind faiss needs the package faiss-cpu (pip install 'retkd[faiss]'); kind torch is exact and needs none"
    unknown = set(re.findall(r"\{\w*\}", factory)) - set(PLACEHOLDERS)
    if unknown:
        return f"unknown placeholder {sorted(unknown)[0]} in the factory string; known: {', '.join(PLACEHOLDERS)}"
    if ef_construction is not None and not factory.startswith("HNSW"):
        return f"ef_construction is a setting of factory strings that begin with HNSW, which {factory!r} does not"
    try:
        index = faiss.index_factory(960, filled(factory, 10**6, 960), faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        return f"FAISS cannot read the factory string {factory!r}: {str(error).split('Error:')[-1].strip()}"
    for name, value in search.items():
        try:
            faiss.ParameterSpace().set_index_parameter(index, name, value)
        except RuntimeError:
            return f"an index {factory} has no search parameter {name!r}; FAISS knows {', '.join(PARAMETERS)}"
    return None
