"""The mix of labels and a teacher's scores by which fast chat-bots are distilled."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import Objective
from retkd.parts import Scale

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class ChatbotMix(Objective):
    """:func:`retkd.losses.pointwise.labels_and_scores` on ``student_scale`` times the student's scores.

    Over each query's own candidates, which the teacher has scored. The paper takes all pairs of a batch, its teacher being
    run in the loop.
    """

    SCALES: ClassVar[tuple[Scale, ...]] = ("logit", "unbounded")
    RULE: ClassVar[str] = (
        "chatbot_mix copies raw scores and reads them as logits: take a teacher that gives logits, or use margin_mse, which "
        "copies differences"
    )

    kind: Literal["chatbot_mix"] = "chatbot_mix"
    teacher: str
    alpha: float = Field(default=0.5, ge=0.0, le=1.0, description="share of the labels")
    student_scale: float = Field(default=20.0, gt=0.0, description="cosines reach 1 at most; logits reach 10")

    @property
    def needs_positives(self) -> bool:
        """Unless the teacher alone counts."""
        return self.alpha > 0

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries of the sum over candidates."""
        from retkd.losses.pointwise import labels_and_scores

        batch = scored.batch
        student, teacher = scored.own * self.student_scale, batch.teachers[self.teacher]
        return labels_and_scores(student, teacher, batch.positive, batch.mask, alpha=self.alpha)
