"""Lambda loss on the reciprocal rank, for graded targets and teachers that only rank."""

from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from pydantic import Field

from retkd.objectives.base import Objective
from retkd.parts import Scale

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class LambdaMRR(Objective):
    """:func:`retkd.losses.lambda_mrr.lambda_mrr` on ``student_scale`` times the student's score; any scale orders a list."""

    SCALES: ClassVar[tuple[Scale, ...]] = get_args(Scale)

    kind: Literal["lambda_mrr"] = "lambda_mrr"
    teacher: str
    student_scale: float = Field(
        default=20.0, gt=0.0, description="cosines span two: without it the pairs never settle"
    )

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over pairs, in nats weighed by reciprocal ranks."""
        from retkd.losses.lambda_mrr import lambda_mrr

        batch = scored.batch
        return lambda_mrr(scored.own * self.student_scale, batch.teachers[self.teacher], batch.mask)
