"""Samplers that read how far a negative's score is from the positive's: SimANS and TAS-B's balanced margins."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from retkd.selection.samplers import Sampler, weighted


class SimANS(Sampler):
    """Ambiguous negatives: p_j in proportion to exp(-a (s_j - s_pos - b)^2), s_pos the score of the best positive.

    The scale of the scores sets ``a``: on cosines hundreds, on logits below one. With ``replacement``, as in the authors'
    code, a document that is drawn twice stands once, so lists may be shorter. Zhou et al. 2022.
    """

    NEEDS_DISTANCES: ClassVar[bool] = True

    kind: Literal["simans"] = "simans"
    a: float = Field(default=1.0, ge=0.0, description="0 draws uniformly")
    b: float = Field(default=0.0, description="above 0, the likeliest negatives score above the positive")
    replacement: bool = False

    def choose(self, scores: np.ndarray, positive: float, generator: np.random.Generator) -> np.ndarray:
        """A subset drawn by these weights."""
        logs = simans_logs(scores, positive, self.a, self.b)
        if not self.replacement:
            return weighted(logs, self.num_negatives, generator)
        if not len(logs):
            return np.zeros(0, dtype=np.int64)
        return np.unique(generator.choice(len(logs), self.num_negatives, p=np.exp(logs) / np.exp(logs).sum()))


def simans_logs(scores: np.ndarray, positive: float, a: float, b: float) -> np.ndarray:
    """-a (s - s_pos - b)^2, shifted so that the largest is 0.

    >>> p = np.exp(simans_logs(np.array([2.5, 2.0, 1.0, -1.0]), 2.0, a=0.5, b=0.0))
    >>> (p / p.sum()).round(7).tolist()
    [0.3529795, 0.3999782, 0.242599, 0.0044434]
    """
    logs = -a * (scores - positive - b) ** 2
    return np.asarray(logs - logs.max(initial=-np.inf) if len(logs) else logs)


class TASB(Sampler):
    """Balanced margins: a non-empty bin of the margin to the positive is drawn uniformly, then a negative in it.

    ``bins`` are of equal width over the query's margins. Hofstaetter et al. 2021 draw one pair per query
    and batch; here a query's ``num_negatives`` are drawn once, without replacement. The other half of TAS-B, batches of
    one topic, is the select stage's ``clusters`` and the train stage's ``batches``.
    """

    NEEDS_DISTANCES: ClassVar[bool] = True

    kind: Literal["tas_b"] = "tas_b"
    bins: int = Field(default=10, ge=1)

    def choose(self, scores: np.ndarray, positive: float, generator: np.random.Generator) -> np.ndarray:
        """Draw after draw, until there are enough or none is left."""
        bins = margin_bins(positive - scores, self.bins)
        left = np.ones(len(bins), dtype=bool)
        for _ in range(min(self.num_negatives, len(bins))):
            there = np.unique(bins[left])
            members = np.flatnonzero(left & (bins == there[generator.integers(len(there))]))
            left[members[generator.integers(len(members))]] = False
        return np.flatnonzero(~left)


def margin_bins(margins: np.ndarray, num_bins: int) -> np.ndarray:
    """The bin of each margin: ``num_bins`` of equal width from the least to the greatest, which lies in the last.

    >>> margin_bins(np.array([0.0, 0.9, 1.0, 5.0, 10.0]), 10).tolist()
    [0, 0, 1, 5, 9]
    """
    width = float(np.ptp(margins)) if len(margins) else 0.0
    if width == 0.0:
        return np.zeros(len(margins), dtype=np.int64)
    return np.asarray(np.minimum((margins - margins.min()) / width * num_bins, num_bins - 1), dtype=np.int64)
