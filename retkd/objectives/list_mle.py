"""ListMLE: the likelihood of the teacher's order under the student's scores."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.base import OrderObjective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class ListMLE(OrderObjective):
    """:func:`retkd.losses.plackett_luce.list_mle`."""

    kind: Literal["list_mle"] = "list_mle"
    student_temperature: float = Field(default=0.05, gt=0.0)
    position_aware: bool = Field(default=False, description="p-ListMLE: the first places weigh most")

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries, in nats."""
        from retkd.losses.plackett_luce import list_mle

        batch = scored.batch
        student = scored.own / self.student_temperature
        return list_mle(student, batch.teachers[self.teacher], batch.mask, position_aware=self.position_aware)
