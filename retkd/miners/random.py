"""Documents drawn uniformly from the collection."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Literal

import numpy as np

from retkd.collections.base import Query
from retkd.miners.base import Miner, Ranking
from retkd.stage import Inputs


class RandomMiner(Miner):
    """A uniform draw without replacement over the whole collection, judged positives included; scores fall with the rank.

    The draw depends on the seed and on the query's id, not on the other queries nor on their order. Use it for easy
    negatives, and as the floor that a miner must beat.
    """

    kind: Literal["random"] = "random"
    seed: int = 0

    def prepare(self, inputs: Inputs) -> object:
        """The ids of all documents, in the collection's order."""
        return [document.doc_id for document in inputs.collection.documents()]

    def rank(
        self, queries: Sequence[Query], inputs: Inputs, prepared: object, depth: int, split: str | None
    ) -> list[Ranking]:
        """The first ``depth`` documents of a random order of all; the score at rank r is 1 / r."""
        doc_ids: Any = prepared
        return [self._drawn(query.query_id, doc_ids, depth) for query in queries]

    def _drawn(self, query_id: str, doc_ids: list[str], depth: int) -> Ranking:
        generator = np.random.default_rng(list(sha256(f"{self.seed}|{query_id}".encode()).digest()))
        rows = first_of_permutation(generator, len(doc_ids), depth)
        scores = (1.0 / np.arange(1, len(rows) + 1)).astype(np.float32)
        return Ranking([doc_ids[row] for row in rows], scores, [self.source] * len(rows))


def first_of_permutation(generator: np.random.Generator, size: int, count: int) -> list[int]:
    """The first ``count`` of a random permutation of ``size`` rows, in time and memory of ``count``.

    A larger count begins with the same rows: each place swaps in one of those that are still free (Fisher and Yates).

    >>> first_of_permutation(np.random.default_rng(0), 10, 3) == first_of_permutation(np.random.default_rng(0), 10, 5)[:3]
    True
    """
    moved: dict[int, int] = {}
    rows = []
    for place in range(min(count, size)):
        taken = int(generator.integers(place, size))
        rows.append(moved.get(taken, taken))
        moved[taken] = moved.get(place, place)
    return rows
