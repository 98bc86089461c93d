"""Scores of many lists in one array, and what can be said list by list. Rows of a query need not be adjacent."""

from collections.abc import Iterator

import numpy as np


def standardised_lists(query_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Each query's scores at mean 0 and population deviation 1; a constant list becomes 0.

    >>> standardised_lists(np.array(["a", "a", "b"]), np.array([1.0, 3.0, 5.0])).tolist()
    [-1.0, 1.0, 0.0]
    """
    _, group = np.unique(query_ids, return_inverse=True)
    count = np.bincount(group)
    mean = np.bincount(group, scores) / count
    centred = scores - mean[group]
    deviation = np.sqrt(np.bincount(group, centred**2) / count)
    return np.divide(centred, deviation[group], out=np.zeros_like(centred), where=deviation[group] > 1e-9)


def min_max_lists(query_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Each query's scores moved and scaled to reach from 0 to 1; a constant list becomes 0.

    >>> min_max_lists(np.array(["a", "a", "a", "b"]), np.array([1.0, 5.0, 2.0, 7.0])).tolist()
    [0.0, 1.0, 0.25, 0.0]
    """
    _, group = np.unique(query_ids, return_inverse=True)
    low, high = _extremes(group, scores)
    width = (high - low)[group]
    return np.asarray(np.divide(scores - low[group], width, out=np.zeros_like(scores), where=width > 1e-9))


def softmax_lists(query_ids: np.ndarray, scores: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Each query's softmax(scores / temperature).

    >>> softmax_lists(np.array(["a", "a", "b"]), np.array([0.0, 0.0, 7.0])).tolist()
    [0.5, 0.5, 1.0]
    """
    _, group = np.unique(query_ids, return_inverse=True)
    _, high = _extremes(group, scores)
    weights = np.exp((scores - high[group]) / temperature)
    return np.asarray(weights / np.bincount(group, weights)[group])


def list_ranks(query_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Ranks from 1 in each query's list by descending score; ties in the order of the rows.

    >>> list_ranks(np.array(["a", "a", "a", "b"]), np.array([1.0, 5.0, 5.0, 7.0])).tolist()
    [3, 1, 2, 1]
    """
    ranks = np.empty(len(scores), dtype=np.int64)
    for rows in rows_of_lists(query_ids):
        ranks[rows[np.argsort(-scores[rows], kind="stable")]] = np.arange(1, len(rows) + 1)
    return ranks


def rows_of_lists(query_ids: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of each query, queries in sorted order, rows in the order of the table."""
    if len(query_ids):
        _, group = np.unique(query_ids, return_inverse=True)
        yield from np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])


def kendall_tau(one: np.ndarray, other: np.ndarray) -> float:
    """Kendall's tau-b of two score lists, from -1 to 1; NaN when either is constant.

    >>> round(kendall_tau(np.array([3.0, 1.0, 2.0]), np.array([2.0, 1.0, 0.0])), 6)
    0.333333
    """
    left, right = (np.sign(scores[:, None] - scores[None, :]) for scores in (one, other))
    untied = np.sqrt(np.abs(left).sum() * np.abs(right).sum())
    return float((left * right).sum() / untied) if untied else float("nan")


def _extremes(group: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.full(group.max(initial=-1) + 1, np.inf), np.full(group.max(initial=-1) + 1, -np.inf)
    np.minimum.at(low, group, scores)
    np.maximum.at(high, group, scores)
    return low, high
