"""Paired statistics over queries: the randomisation test and the percentile bootstrap, seeded.

Sources: Fisher, The Design of Experiments (1935), for the randomisation test; Smucker, Allan, Carterette (CIKM 2007)
for its use on retrieval measures; Phipson and Smyth (2010) for the added one; Efron (1979) for the bootstrap.
p-values are raw: nothing is corrected for the number of systems that are compared.
"""

from collections.abc import Iterator

import numpy as np

MOST_EXACT_QUERIES = 14
"""Up to 2^14 sign patterns are enumerated."""
BLOCK_CELLS = 2**21
"""Cells of one block of sign patterns or of resamples: 16 MiB of float64."""


def paired_p_value(differences: np.ndarray, *, num_resamples: int, seed: int) -> float:
    """Two-sided p-value of the mean of paired differences ``[query]`` by flipping signs.

    Exact by enumeration when at most 14 queries differ, else (1 + hits) / (1 + ``num_resamples``). 1 when none differ.
    Queries that do not differ take no part: flipping their sign changes nothing.
    """
    differing = np.asarray(differences, dtype=np.float64)
    differing = differing[differing != 0.0]
    if len(differing) == 0:
        return 1.0
    seen = abs(differing.sum()) - 1e-9 * np.abs(differing).sum()
    if len(differing) <= MOST_EXACT_QUERIES:
        sums = _flipped(_all_patterns(len(differing)), differing)
        return float(np.mean(np.abs(sums) >= seen))
    rng = np.random.default_rng(seed)
    hits = 0
    for rows in _blocks(num_resamples, len(differing)):
        patterns = rng.integers(0, 2, size=(rows, len(differing)), dtype=np.int8)
        hits += int(np.count_nonzero(np.abs(_flipped(patterns, differing)) >= seen))
    return (1 + hits) / (1 + num_resamples)


def bootstrap_means(values: np.ndarray, *, num_resamples: int, seed: int) -> np.ndarray:
    """Means ``[resample, column]`` of ``values [query, column]`` over queries drawn with replacement.

    One draw serves all columns, so differences and ratios of columns keep the pairing.
    """
    num_queries, num_columns = values.shape
    rng = np.random.default_rng(seed)
    means = np.empty((num_resamples, num_columns))
    start = 0
    for rows in _blocks(num_resamples, num_queries):
        drawn = rng.integers(0, num_queries, size=(rows, num_queries))
        drawn += np.arange(rows)[:, None] * num_queries
        counts = np.bincount(drawn.ravel(), minlength=rows * num_queries).reshape(rows, num_queries)
        means[start : start + rows] = counts.astype(np.float64) @ values / num_queries
        start += rows
    return means


def interval(resampled: np.ndarray, confidence: float) -> tuple[float, float]:
    """The percentile interval of a resampled statistic ``[resample]``."""
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(resampled, [tail, 1.0 - tail])
    return float(low), float(high)


def _flipped(patterns: np.ndarray, differences: np.ndarray) -> np.ndarray:
    """Sums of the differences with signs + where a pattern has 1 and - where it has 0."""
    return np.asarray(2.0 * (patterns.astype(np.float64) @ differences) - differences.sum())


def _all_patterns(length: int) -> np.ndarray:
    numbers = np.arange(2**length)
    return (numbers[:, None] >> np.arange(length)) & 1


def _blocks(num_rows: int, num_columns: int) -> Iterator[int]:
    rows = max(BLOCK_CELLS // max(num_columns, 1), 1)
    for start in range(0, num_rows, rows):
        yield min(rows, num_rows - start)
