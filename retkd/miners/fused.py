"""Several miners, one list: reciprocal rank fusion."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from retkd.collections.base import Query
from retkd.miners.base import Miner, Ranking
from retkd.stage import Inputs

if TYPE_CHECKING:
    AnyMiner = Any


class Fused(Miner):
    """Score = sum over miners of 1 / (k + rank). Cormack et al. 2009. The source names every miner that has the document."""

    kind: Literal["fused"] = "fused"
    miners: list["AnyMiner"] = Field(min_length=2)
    k: float = Field(default=60.0, gt=0.0)

    def prepare(self, inputs: Inputs) -> object:
        """What each miner prepares."""
        return [miner.prepare(inputs) for miner in self.miners]

    def mine(self, queries: Sequence[Query], inputs: Inputs, prepared: object) -> list[Ranking]:
        """The ``depth`` best of the union."""
        ready: Any = prepared
        lists = [miner.mine(queries, inputs, ready[position]) for position, miner in enumerate(self.miners)]
        return [fuse(rankings, self.k, self.depth) for rankings in zip(*lists, strict=True)]


def fuse(rankings: Sequence[Ranking], k: float, depth: int) -> Ranking:
    """Reciprocal rank fusion of one query's rankings; equal sums by id.

    >>> a = Ranking(["x", "y"], np.array([2.0, 1.0]), ["bm25"] * 2)
    >>> b = Ranking(["y"], np.array([0.5]), ["dense"])
    >>> fuse([a, b], k=60.0, depth=2).doc_ids
    ['y', 'x']
    """
    sums: dict[str, float] = defaultdict(float)
    sources: dict[str, list[str]] = defaultdict(list)
    for ranking in rankings:
        for position, (doc_id, source) in enumerate(zip(ranking.doc_ids, ranking.sources, strict=True), start=1):
            sums[doc_id] += 1.0 / (k + position)
            sources[doc_id].append(source)
    best = sorted(sums, key=lambda doc_id: (-sums[doc_id], doc_id))[:depth]
    scores = np.array([sums[doc_id] for doc_id in best], dtype=np.float32)
    return Ranking(best, scores, ["+".join(sorted(set(sources[doc_id]))) for doc_id in best])
