"""OFA's adaptive target: soft labels that lean to the judged positive where the teacher is sure of it."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import ScoreObjective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class OFA(ScoreObjective):
    """:func:`retkd.losses.adaptive_target.adaptive_cross_entropy`; ``epsilon: 1`` is ListNet.

    The paper applies it at projections of intermediate layers, over classes; here it is at the end, over candidates.
    """

    RULE: ClassVar[str] = "ofa reads the teacher's probabilities, so ranks will not do: use list_mle or ranknet"

    kind: Literal["ofa"] = "ofa"
    student_temperature: float = Field(default=0.05, gt=0.0)
    teacher_temperature: float = Field(default=1.0, gt=0.0)
    epsilon: float = Field(default=1.5, ge=1.0, description="1: plain soft cross-entropy; more leans to the label")

    @property
    def needs_positives(self) -> bool:
        """Only where it leans to them."""
        return self.epsilon > 1

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries, in nats."""
        from retkd.losses.adaptive_target import adaptive_cross_entropy

        return adaptive_cross_entropy(
            scored.own,
            self.teacher_scores(scored),
            scored.batch.positive,
            scored.batch.mask,
            epsilon=self.epsilon,
            student_temperature=self.student_temperature,
            teacher_temperature=self.teacher_temperature,
        )
