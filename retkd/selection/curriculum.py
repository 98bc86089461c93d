"""Graded targets out of a teacher's order: CL-DRD's curriculum."""

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from retkd.errors import DataError
from retkd.parts import Part

if TYPE_CHECKING:
    import pyarrow as pa


class ClDrd(Part):
    """Writes a column: 1 / rank for the teacher's ``num_top`` best of each list, constants for the groups below.

    ``num_top`` is the difficulty: 5, 10, 20, 30 of 30 in the paper's iterations (label modes 5+25, 10+20, 20+10, 30+0). With
    two constants the lower part is halved. Only the order of the targets means something, so the column's scale is
    ``rank``, higher is better: an objective such as ``lambda_loss`` reads it, a KL refuses it. The judged positive is
    graded like any other document. Zeng et al. 2022.
    """

    kind: Literal["cl_drd"] = "cl_drd"
    teacher: str
    column: str = Field(default="cl_drd", min_length=1, description="the teacher column that is written")
    num_top: int = Field(ge=0)
    rest: list[float] = Field(default=[0.0], min_length=1, description="falling; one group of equal size for each")

    @model_validator(mode="after")
    def _falling(self) -> "ClDrd":
        highest = [1.0 / self.num_top] if self.num_top else []
        steps = [*highest, *self.rest]
        if any(below >= above for above, below in pairwise(steps)):
            raise ValueError(
                f"rest {self.rest} must fall, from below 1/num_top: a group below is less relevant than the one above"
            )
        if self.column == self.teacher:
            raise ValueError(f"the column {self.column!r} would overwrite the teacher that it is made from")
        return self

    def applied(self, rows: "pa.Table") -> "pa.Table":
        """The table with ``teacher.COLUMN``. Raises :class:`DataError` where the teacher has not scored a row."""
        from retkd import candidates as table
        from retkd.selection.lists import Lists

        table.scale_of(rows, self.teacher)
        lists = Lists.of(rows)
        scores = lists.scores(self.teacher)
        if np.isnan(scores).any():
            row = rows.slice(int(np.flatnonzero(np.isnan(scores))[0]), 1).to_pylist()[0]
            raise DataError(
                f"the labels {self.kind!r} rank every row by teacher {self.teacher!r}, and some have no score",
                where=f"query_id {row['query_id']!r}, doc_id {row['doc_id']!r}",
                seen=f"{int(np.isnan(scores).sum()):,} rows",
                next_step=f"drop them in this stage with `teacher: {self.teacher}`, or score deeper",
            )
        targets = np.empty(len(scores), dtype=np.float32)
        for _, start, stop in lists.groups:
            order = np.argsort(-scores[start:stop], kind="stable")
            targets[start + order] = self.targets(stop - start)
        return table.with_teacher(rows, self.column, targets, "rank")

    def targets(self, count: int) -> np.ndarray:
        """The targets of a list of ``count`` documents, best first.

        >>> ClDrd(teacher="ce", num_top=2, rest=[0.0, -0.5]).targets(5).tolist()
        [1.0, 0.5, 0.0, 0.0, -0.5]
        """
        top = 1.0 / np.arange(1, min(self.num_top, count) + 1)
        groups = np.array_split(np.arange(count - len(top)), len(self.rest))
        return np.concatenate([top, *(np.full(len(g), label) for g, label in zip(groups, self.rest, strict=True))])
