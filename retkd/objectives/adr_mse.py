"""ADR-MSE: the student's approximate ranks shall be the teacher's ranks, the first ones most of all."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.base import OrderObjective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class ADRMSE(OrderObjective):
    """:func:`retkd.losses.ranks.adr_mse` on ``student_scale`` times the student's scores."""

    kind: Literal["adr_mse"] = "adr_mse"
    student_scale: float = Field(default=20.0, gt=0.0, description="cosines reach 2 apart at most: 1 would be flat")
    temperature: float = Field(default=1.0, gt=0.0)
    discount: Literal["log2", "reciprocal", "none"] = "log2"

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over candidates, in squared ranks."""
        from retkd.losses.ranks import adr_mse

        batch = scored.batch
        return adr_mse(
            scored.own * self.student_scale,
            batch.teachers[self.teacher],
            batch.mask,
            temperature=self.temperature,
            discount=self.discount,
        )
