"""The mix of labels and a teacher's scores by which fast chat-bots are distilled."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import Objective
from retkd.parts import Scale

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class ChatbotMix(Objective):
    """:func:`retkd.losses.pointwise.labels_and_scores` on ``student_scale`` times the student's scores plus ``student_bias``.

    Without a bias a cosine must be negative for a pair to be unlikely: most pairs are, and a student of cosines then turns
    all queries away from all documents and ranks nothing. So it begins low, as SigLIP's does (Zhai et al. 2023: -10).
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
    student_bias: float = Field(
        default=-10.0, description="added to the scaled scores; 0 for a student of dot products"
    )

    @property
    def needs_lists(self) -> bool:
        """Each pair teaches by itself."""
        return False

    @property
    def needs_positives(self) -> bool:
        """Unless the teacher alone counts."""
        return self.alpha > 0

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries of the sum over candidates."""
        from retkd.losses.pointwise import labels_and_scores

        batch = scored.batch
        student, teacher = scored.own * self.student_scale + self.student_bias, batch.teachers[self.teacher]
        return labels_and_scores(student, teacher, batch.positive, batch.mask, alpha=self.alpha)
