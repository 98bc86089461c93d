"""The contract of an index kind."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from retkd.parts import Part
from retkd.stage import Inputs, Metrics, Model, Searcher

SearchRows = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]
"""(queries ``[query, dim]``, k) -> scores ``[query, k]``, descending, and rows ``[query, k]``, -1 where none is."""


class AnyIndexKind(Part):
    """An index recipe. ``READS`` is the kind of encoder whose vectors it holds, ``GIVES`` what its stage then gives."""

    READS: ClassVar[str] = "encoder"
    GIVES: ClassVar[str] = "index"


class IndexKind(AnyIndexKind):
    """An index recipe of dense vectors that builds and opens itself. Vectors are compared by inner product."""

    def resolved(self, num_vectors: int, dim: int) -> dict[str, Any]:
        """The recipe as plain data with everything that depends on the corpus filled in; it stands in ``index.json``.

        Raises :class:`DataError` when the corpus cannot be indexed this way.
        """
        raise NotImplementedError

    def build(self, resolved: Mapping[str, Any], vectors: np.ndarray, out: Path, site: "Site") -> None:
        """Write the index files into ``out``, each atomically; the same vectors and seed give the same bytes."""
        raise NotImplementedError

    def open(self, resolved: Mapping[str, Any], vectors: np.ndarray, folder: Path, site: "Site") -> SearchRows:
        """A search function over a built folder, with equal scores ordered by row."""
        raise NotImplementedError


class Site(Part):
    """Where an index is built or searched."""

    device: str = "cpu"
    memory_mib: int = 512
    threads: int | None = None
    seed: int = 0


class EncodedIndex(AnyIndexKind):
    """An index recipe that holds what an encoder of its own kind makes of the documents, and is exact."""

    kind: str

    def index(self, model: Model, inputs: Inputs, device: str, out: Path) -> Metrics:
        """Encode the corpus, or take what the store has; write the index into ``out``, each file atomically."""
        raise NotImplementedError

    def opened(self, told: Mapping[str, Any], folder: Path, site: Site) -> Searcher:
        """The index in a folder, ready to be searched. ``told``: what its index.json says."""
        raise NotImplementedError
