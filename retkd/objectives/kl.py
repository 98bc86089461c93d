"""KL between the teacher's and the student's distributions over a query's own candidates."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import ScoreObjective
from retkd.objectives.learned import Temperature

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class KL(ScoreObjective):
    """:func:`retkd.losses.listwise.kl` with two temperatures."""

    RULE: ClassVar[str] = (
        "KL needs differences that mean something: take the logit of a probability, and use RankNet or a "
        "Plackett-Luce loss for a teacher that only ranks"
    )

    LATER: ClassVar[tuple[str, ...]] = ("reduction",)

    kind: Literal["kl"] = "kl"
    student_temperature: Temperature = 0.05
    teacher_temperature: float = Field(default=1.0, gt=0.0)
    direction: Literal["forward", "reverse", "jensen_shannon"] = Field(
        default="forward", description="reverse: KL(student || teacher)"
    )
    reduction: Literal["queries", "candidates"] = Field(
        default="queries", description="candidates: divided by the length of the lists too, as in RocketQAv2"
    )

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries or candidates, in nats."""
        from retkd.losses.listwise import kl

        return kl(
            scored.own,
            self.teacher_scores(scored),
            scored.batch.mask,
            student_temperature=self.student_temperature,
            teacher_temperature=self.teacher_temperature,
            direction=self.direction,
            reduction=self.reduction,
        )
