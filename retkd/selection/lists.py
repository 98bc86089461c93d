"""A split's table as the rules of a selection see it: columns, who is positive, where each query begins."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from retkd import candidates as table


@dataclass(frozen=True)
class Lists:
    """``positive`` is a bool per row, ``groups`` (query_id, start, stop) per query."""

    rows: pa.Table
    positive: np.ndarray
    groups: tuple[tuple[str, int, int], ...]

    @classmethod
    def of(cls, rows: pa.Table) -> "Lists":
        """The lists of a table that is sorted by query."""
        return cls(rows, rows["relevance"].fill_null(0).to_numpy() > 0, tuple(table.groups(rows)))

    def scores(self, teacher: str | None) -> np.ndarray:
        """float64 per row: a teacher's scores, or the miner's for None. NaN where nobody has scored the row.

        A positive that no miner found (source ``qrels``) has no score of the miner.
        """
        if teacher is not None:
            return np.array(self.rows[table.TEACHER + teacher].to_numpy(zero_copy_only=False), dtype=np.float64)
        scores: np.ndarray = self.rows["score"].to_numpy(zero_copy_only=False).astype(np.float64)
        scores[~table.mined(self.rows)] = np.nan
        return scores

    def best_positive(self, scores: np.ndarray) -> np.ndarray:
        """float64 per row: the highest of these scores among its query's positives; NaN when there is none."""
        best = np.full(len(scores), np.nan)
        for _, start, stop in self.groups:
            known = scores[start:stop][self.positive[start:stop]]
            known = known[~np.isnan(known)]
            best[start:stop] = known.max() if len(known) else np.nan
        return best

    def has_positive(self) -> np.ndarray:
        """Bool per row: whether its query has a positive."""
        found = np.zeros(len(self.positive), dtype=bool)
        for _, start, stop in self.groups:
            found[start:stop] = self.positive[start:stop].any()
        return found
