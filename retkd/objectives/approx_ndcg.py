"""ApproxNDCG: one minus the nDCG of the student's list, made differentiable."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.base import OrderObjective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class ApproxNDCG(OrderObjective):
    """:func:`retkd.losses.ranks.approximate_ndcg`, a document's gain being one over its rank in the teacher's list."""

    kind: Literal["approx_ndcg"] = "approx_ndcg"
    student_scale: float = Field(default=20.0, gt=0.0, description="cosines reach 2 apart at most: 1 would be flat")
    temperature: float = Field(default=1.0, gt=0.0)

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries, between 0 and 1."""
        from retkd.losses.ranks import approximate_ndcg, mean_ranks

        mask, student = scored.batch.mask, scored.own * self.student_scale
        gain = 1 / mean_ranks(scored.batch.teachers[self.teacher], mask)
        return approximate_ndcg(student, gain.to(student.dtype), mask, temperature=self.temperature)
