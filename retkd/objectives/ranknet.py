"""RankNet: every pair that the teacher orders, in the student's order."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.base import OrderObjective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class RankNet(OrderObjective):
    """:func:`retkd.losses.pairwise.ranknet` on ``student_scale`` times the student's scores."""

    kind: Literal["ranknet"] = "ranknet"
    student_scale: float = Field(default=20.0, gt=0.0, description="cosines reach 2 apart at most: 1 would be flat")
    top: int | None = Field(
        default=None, ge=1, description="only pairs whose better document is among the teacher's top"
    )

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over ordered pairs of the batch, in nats."""
        from retkd.losses.pairwise import ranknet

        batch = scored.batch
        return ranknet(scored.own * self.student_scale, batch.teachers[self.teacher], batch.mask, top=self.top)
