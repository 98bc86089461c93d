"""Queries that a student gets wrong, to be seen more often: where its order of a list is furthest from the teacher's."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from retkd.parts import Candidates, Part
from retkd.selection.confidence import DIFFERENCES
from retkd.selection.consensus import kendall_tau
from retkd.selection.lists import Lists

if TYPE_CHECKING:
    import pyarrow as pa


class Disagreement(Part):
    """How far a student is from a teacher on one query, and from where on that is an error. No judgement is read.

    ``tau``: 1 - Kendall's tau-b of the two, from 0 (same order) to 2. ``kl``: KL(softmax(teacher) || softmax(student)), in
    nats. Over the ``top`` documents that the student puts first, among those that both have scored. UNDO (2024) asks
    for errors in generated answers; what an error of a ranking is, is ours.
    """

    teacher: str
    by: Literal["tau", "kl"] = "tau"
    top: int | None = Field(default=None, ge=2, description="of the student's own order; null: the whole list")
    teacher_temperature: float = Field(default=1.0, gt=0.0, description="of `kl`")
    student_temperature: float = Field(default=0.05, gt=0.0, description="of `kl`")
    share: float = Field(
        default=0.3, gt=0.0, le=1.0, description="at most this share of the queries, the worst errors, are repeated"
    )
    at_least: float | None = Field(
        default=None, description="only those that are at least so far are errors; null: all"
    )
    times: int = Field(default=2, ge=2, description="how often a pass of the training has a repeated error")

    def of_list(self, teacher: np.ndarray, student: np.ndarray) -> float:
        """The distance on one list; NaN is not scored. A list of less than two is no error.

        >>> Disagreement(teacher="t").of_list(np.array([3.0, 1.0, 2.0]), np.array([2.0, 1.0, 0.0]))
        0.6666666666666667
        """
        both = np.flatnonzero(~np.isnan(teacher) & ~np.isnan(student))
        best = both[np.argsort(-student[both], kind="stable")][: self.top]
        if len(best) < 2:
            return 0.0
        if self.by == "tau":
            return 1.0 - kendall_tau(teacher[best], student[best])
        target, own = (
            _log_softmax(teacher[best] / self.teacher_temperature),
            _log_softmax(student[best] / self.student_temperature),
        )
        return float((np.exp(target) * (target - own)).sum())


class Repeats(Disagreement):
    """The errors of a student whose scores are a column of the table."""

    student: str
    before: Candidates | None = Field(
        default=None,
        description="the round before's select stage: unless the errors are fewer than there, none is repeated",
    )

    def check(self, rows: "pa.Table") -> None:
        """Both columns are there; `kl` needs differences."""
        from retkd.candidates import require_scale, scale_of

        for name in (self.teacher, self.student):
            scale_of(rows, name)
            if self.by == "kl":
                require_scale(rows, name, DIFFERENCES, "`repeats` by kl", "compare orders: `by: tau`")

    def times_of(self, rows: "pa.Table", query_ids: list[str]) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """(how often each of these queries is seen, which are errors, what the manifest says).

        All that are far enough are errors, whatever their ``share``: that says how many of them are repeated, ties by query
        id. Distances are over ``rows``.
        """
        lists = Lists.of(rows)
        teacher, student = lists.scores(self.teacher), lists.scores(self.student)
        found = {q: self.of_list(teacher[start:stop], student[start:stop]) for q, start, stop in lists.groups}
        distances = np.array([found[query_id] for query_id in query_ids])
        order = np.lexsort((np.array(query_ids), -distances))
        least = 0.0 if self.at_least is None else self.at_least
        errors = (distances > 0) & (distances >= least)
        worst = [row for row in order[: int(self.share * len(order))] if errors[row]]
        times = np.ones(len(query_ids), dtype=np.int64)
        times[worst] = self.times
        told = {"errors": int(errors.sum()), "repeated": len(worst), "of_queries": len(query_ids)}
        mean = float(distances.mean()) if len(distances) else 0.0
        return times, errors, {**told, f"mean_{self.by}_distance": round(mean, 6)}

    def fewer(self, num_errors: int, folder: Path) -> bool:
        """Whether these are fewer than the round before had, whose artifact is ``folder``."""
        from retkd.training.query_order import num_errors_of

        return num_errors < num_errors_of(folder)


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    shifted = scores - scores.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))
