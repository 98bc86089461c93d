"""Isotonic regression: the rising step curve from a score to the share of relevant rows that fits labels best."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Curve:
    """``probabilities`` over rising ``scores``; linear in between, constant outside. ``num_rows`` were fitted."""

    scores: np.ndarray
    probabilities: np.ndarray
    num_rows: int

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities in [0, 1]."""
        return np.asarray(np.interp(scores, self.scores, self.probabilities))


def isotonic(scores: np.ndarray, relevant: np.ndarray) -> Curve:
    """The least-squares rising curve through (score, relevant), by pooling adjacent violators.

    Equal scores are one point. Each pool keeps its first and last score, so the curve is flat inside a pool and linear
    between pools, as scikit-learn's IsotonicRegression draws it. Ayer et al. 1955; for probabilities Zadrozny and Elkan
    2002.

    >>> isotonic(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 1, 0, 1])).probabilities.tolist()
    [0.0, 0.5, 0.5, 1.0]
    """
    values, place = np.unique(scores, return_inverse=True)
    weights = np.bincount(place)
    pools: list[list[float]] = []  # sum of labels, rows, first score, last score
    for value, weight, total in zip(values, weights, np.bincount(place, relevant), strict=True):
        pools.append([float(total), float(weight), float(value), float(value)])
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] >= pools[-1][0] * pools[-2][1]:
            total, weight, _, last = pools.pop()
            pools[-1] = [pools[-1][0] + total, pools[-1][1] + weight, pools[-1][2], last]
    points = [(end, total / rows) for total, rows, first, last in pools for end in sorted({first, last})]
    return Curve(np.array([x for x, _ in points]), np.array([y for _, y in points]), len(scores))
