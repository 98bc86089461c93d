"""Several teachers as one: their scores brought to one scale list by list, then a weighted mean."""

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, PositiveFloat

from retkd import candidates as table
from retkd.errors import DataError, ScaleError
from retkd.stage import Inputs
from retkd.teachers.base import Judgement, Rows, Teacher


class Ensemble(Teacher):
    """Weighted mean of members that were scored before it, each list of each member at mean 0 and deviation 1."""

    kind: Literal["ensemble"] = "ensemble"
    members: dict[str, PositiveFloat] = Field(min_length=1, description="teacher -> weight")

    def judge(self, name: str, splits: list[Rows], inputs: Inputs, work: Path) -> Judgement:
        """Standardised scores; a member with one constant list adds 0 there."""
        return Judgement({rows.split: self._combined(rows) for rows in splits}, "standardised")

    def _combined(self, rows: Rows) -> np.ndarray:
        total = np.zeros(len(rows.chosen), dtype=np.float64)
        query_ids = rows.table["query_id"].to_numpy(zero_copy_only=False)[rows.chosen]
        for member, weight in self.members.items():
            if table.scale_of(rows.table, member) == "rank":
                raise ScaleError("an ensemble of scores cannot take a teacher that only ranks", seen=member)
            column = rows.table[table.TEACHER + member].to_numpy(zero_copy_only=False)[rows.chosen].astype(np.float64)
            if np.isnan(column).any():
                raise DataError(
                    f"the ensemble's member {member!r} has not scored every row", where=f"split {rows.split}"
                )
            total += weight * standardised_lists(query_ids, column)
        return (total / sum(self.members.values())).astype(np.float32)


def standardised_lists(query_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Each query's scores at mean 0 and population deviation 1; rows of a query need not be adjacent.

    >>> standardised_lists(np.array(["a", "a", "b"]), np.array([1.0, 3.0, 5.0])).tolist()
    [-1.0, 1.0, 0.0]
    """
    _, group = np.unique(query_ids, return_inverse=True)
    count = np.bincount(group)
    mean = np.bincount(group, scores) / count
    centred = scores - mean[group]
    deviation = np.sqrt(np.bincount(group, centred**2) / count)
    return np.divide(centred, deviation[group], out=np.zeros_like(centred), where=deviation[group] > 1e-9)
