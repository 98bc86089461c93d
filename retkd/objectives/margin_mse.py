"""MarginMSE: the student's margins between positive and negative shall equal the teacher's."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import ScoreObjective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class MarginMSE(ScoreObjective):
    """:func:`retkd.losses.pairwise.margin_mse` on ``student_scale`` times the student's score."""

    RULE: ClassVar[str] = "MarginMSE needs margins: take the logit of a probability; a rank has no margins"

    kind: Literal["margin_mse"] = "margin_mse"
    student_scale: float = Field(default=20.0, gt=0.0, description="cosines reach 2 at most; teacher margins reach 20")
    teacher_scale: float = Field(default=1.0, gt=0.0)
    pairs: Literal["positive_negative", "all"] = Field(
        default="positive_negative", description="all: every two candidates, as in DiSCo; it needs no labels"
    )

    @property
    def needs_positives(self) -> bool:
        """Only where the pairs are of a positive and a negative."""
        return self.pairs == "positive_negative"

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over pairs, in squared teacher units."""
        from retkd.losses.pairwise import all_pairs_mse, margin_mse

        batch = scored.batch
        student, teacher = scored.own * self.student_scale, self.teacher_scores(scored) * self.teacher_scale
        if self.pairs == "all":
            return all_pairs_mse(student, teacher, batch.mask)
        return margin_mse(student, teacher, batch.positive, batch.mask)
