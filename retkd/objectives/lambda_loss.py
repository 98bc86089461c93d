"""The LambdaLoss family: RankNet whose pairs weigh what swapping them would cost."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.base import OrderObjective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class LambdaLoss(OrderObjective):
    """:func:`retkd.losses.lambdas.lambda_loss` on the teacher's order, a document's gain being one over its rank there.

    The published gain, 2^grade - 1, is for grades: of a teacher's logit of 11 it would make 2,047.
    """

    kind: Literal["lambda_loss"] = "lambda_loss"
    student_scale: float = Field(default=20.0, gt=0.0, description="cosines reach 2 apart at most: 1 would be flat")
    weighing: Literal["lambda_rank", "ndcg_loss2", "ndcg_loss2++", "reciprocal_rank"] = Field(
        default="reciprocal_rank", description="reciprocal_rank is lambda-MRR of CL-DRD"
    )

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over ordered pairs of the batch, in nats."""
        from retkd.losses.lambdas import lambda_loss
        from retkd.losses.ranks import mean_ranks

        batch = scored.batch
        teacher, student = batch.teachers[self.teacher], scored.own * self.student_scale
        gain = 1 / mean_ranks(teacher, batch.mask)
        return lambda_loss(student, teacher, batch.mask, weighing=self.weighing, gain=gain.to(student.dtype))
