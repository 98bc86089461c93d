"""MarginMSE: the student's margins between positive and negative shall equal the teacher's."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import Objective
from retkd.parts import Scale

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class MarginMSE(Objective):
    """:func:`retkd.losses.pairwise.margin_mse` on ``student_scale`` times the student's score."""

    SCALES: ClassVar[tuple[Scale, ...]] = ("logit", "log_probability", "cosine", "unbounded", "standardised")
    RULE: ClassVar[str] = "MarginMSE needs margins: take the logit of a probability; a rank has no margins"
    NEEDS_POSITIVES: ClassVar[bool] = True

    kind: Literal["margin_mse"] = "margin_mse"
    teacher: str
    student_scale: float = Field(default=20.0, gt=0.0, description="cosines reach 2 at most; teacher margins reach 20")
    teacher_scale: float = Field(default=1.0, gt=0.0)

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over pairs, in squared teacher units."""
        from retkd.losses.pairwise import margin_mse

        batch = scored.batch
        teacher = batch.teachers[self.teacher] * self.teacher_scale
        return margin_mse(scored.own * self.student_scale, teacher, batch.positive, batch.mask)
