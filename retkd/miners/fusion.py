"""One query's rankings by several miners, made into one list. Sources of a document are joined by ``+``, sorted."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from retkd.miners.base import Ranking

Normalisation = Literal["min_max", "z_score"]


def reciprocal_rank(rankings: Sequence[Ranking], k: float, depth: int) -> Ranking:
    """Score = sum over rankings of 1 / (k + rank); equal sums by id. Cormack et al. 2009.

    >>> a = Ranking(["x", "y"], np.array([2.0, 1.0]), ["bm25"] * 2)
    >>> b = Ranking(["y"], np.array([0.5]), ["dense"])
    >>> reciprocal_rank([a, b], k=60.0, depth=2).doc_ids
    ['y', 'x']
    """
    sums: dict[str, float] = {}
    for ranking in rankings:
        for rank, doc_id in enumerate(ranking.doc_ids, start=1):
            sums[doc_id] = sums.get(doc_id, 0.0) + 1.0 / (k + rank)
    return _by_score(sums, rankings, depth)


def weighted(
    rankings: Sequence[Ranking], weights: Sequence[float], normalisation: Normalisation, depth: int
) -> Ranking:
    """Score = weighted sum of each ranking's scores, normalised within the ranking; equal sums by id.

    A document that a ranking lacks has there the lowest normalised score of that ranking: it scored at most that.

    >>> a = Ranking(["x", "y", "z"], np.array([9.0, 8.0, 5.0]), ["bm25"] * 3)
    >>> b = Ranking(["y", "w"], np.array([0.9, 0.1]), ["dense"] * 2)
    >>> found = weighted([a, b], [1.0, 1.0], "min_max", depth=3)
    >>> found.doc_ids, found.scores.tolist()
    (['y', 'x', 'w'], [1.75, 1.0, 0.0])
    """
    sums = {doc_id: 0.0 for ranking in rankings for doc_id in ranking.doc_ids}
    for ranking, weight in zip(rankings, weights, strict=True):
        scores, absent = normalised(ranking.scores, normalisation)
        own = dict(zip(ranking.doc_ids, scores.tolist(), strict=True))
        for doc_id in sums:
            sums[doc_id] += weight * own.get(doc_id, absent)
    return _by_score(sums, rankings, depth)


def normalised(scores: np.ndarray, normalisation: Normalisation) -> tuple[np.ndarray, float]:
    """Scores in float64 after normalisation within the list, and what a document outside of it counts.

    ``min_max``: (score - least) / (greatest - least), outside 0; all 1 where all are equal. ``z_score``: (score - mean) /
    standard deviation, outside the least of the list; all 0 where all are equal.
    """
    values = scores.astype(np.float64)
    if not len(values):
        return values, 0.0
    low, high = values.min(), values.max()
    if normalisation == "min_max":
        return (values - low) / (high - low) if high > low else np.ones_like(values), 0.0
    standard = (values - values.mean()) / values.std() if high > low else np.zeros_like(values)
    return standard, float(standard.min())


def interleaved(rankings: Sequence[Ranking], depth: int) -> Ranking:
    """In turn the best document of each ranking that is not in the list yet; it alone is the source. Score = 1 / rank.

    >>> a = Ranking(["x", "y", "z"], np.array([3.0, 2.0, 1.0]), ["bm25"] * 3)
    >>> b = Ranking(["x", "w"], np.array([0.9, 0.1]), ["dense"] * 2)
    >>> found = interleaved([a, b], depth=4)
    >>> found.doc_ids, found.sources
    (['x', 'w', 'y', 'z'], ['bm25', 'dense', 'bm25', 'bm25'])
    """
    taken: dict[str, str] = {}
    waiting = [iter(zip(ranking.doc_ids, ranking.sources, strict=True)) for ranking in rankings]
    while waiting and len(taken) < depth:
        for turn in list(waiting):
            new = next((pair for pair in turn if pair[0] not in taken), None)
            if new is None:
                waiting.remove(turn)
            elif len(taken) < depth:
                taken[new[0]] = new[1]
    scores = (1.0 / np.arange(1, len(taken) + 1)).astype(np.float32)
    return Ranking(list(taken), scores, list(taken.values()))


def with_quotas(fused: Ranking, rankings: Mapping[str, Ranking], quotas: Mapping[str, int], depth: int) -> Ranking:
    """``depth`` documents of ``fused``, in its order, among which every miner has its quota.

    Miner by miner, the best documents of its own ranking that are not in yet are taken, up to its quota; the fused
    order fills what is left. ``fused`` must hold every document of ``rankings``.
    """
    taken: set[str] = set()
    for name, quota in quotas.items():
        own = [doc_id for doc_id in rankings[name].doc_ids if doc_id not in taken]
        taken.update(own[:quota])
    rest = [doc_id for doc_id in fused.doc_ids if doc_id not in taken]
    taken.update(rest[: max(depth - len(taken), 0)])
    return fused.rows([row for row, doc_id in enumerate(fused.doc_ids) if doc_id in taken])


def _by_score(sums: Mapping[str, float], rankings: Sequence[Ranking], depth: int) -> Ranking:
    best = sorted(sums, key=lambda doc_id: (-sums[doc_id], doc_id))[:depth]
    sources: dict[str, set[str]] = {doc_id: set() for doc_id in best}
    for ranking in rankings:
        for doc_id, source in zip(ranking.doc_ids, ranking.sources, strict=True):
            if doc_id in sources:
                sources[doc_id].update(source.split("+"))
    scores = np.array([sums[doc_id] for doc_id in best], dtype=np.float32)
    return Ranking(best, scores, ["+".join(sorted(sources[doc_id])) for doc_id in best])
