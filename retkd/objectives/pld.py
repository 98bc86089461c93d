"""PLD: the teacher's order, each place weighed by the teacher's confidence in it."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import ScoreObjective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class PLD(ScoreObjective):
    """:func:`retkd.losses.plackett_luce.pld`."""

    RULE: ClassVar[str] = "PLD weighs places by the teacher's probabilities: use list_mle for a teacher that only ranks"

    kind: Literal["pld"] = "pld"
    student_temperature: float = Field(default=0.05, gt=0.0)
    teacher_temperature: float = Field(default=1.0, gt=0.0)
    first: Literal["label", "teacher"] = Field(
        default="label", description="label: judged positives lead the order; teacher: whatever it scores highest"
    )

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries, in nats."""
        from retkd.losses.plackett_luce import pld

        return pld(
            scored.own / self.student_temperature,
            self.teacher_scores(scored),
            scored.batch.mask,
            teacher_temperature=self.teacher_temperature,
            positive=scored.batch.positive if self.first == "label" else None,
        )
