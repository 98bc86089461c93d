"""KL between the teacher's and the student's distributions over a query's own candidates."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import Objective
from retkd.parts import Scale

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class KL(Objective):
    """:func:`retkd.losses.listwise.kl` with two temperatures; ``standardise`` first brings each teacher list to mean 0, sd 1."""

    SCALES: ClassVar[tuple[Scale, ...]] = ("logit", "log_probability", "cosine", "unbounded", "standardised")
    RULE: ClassVar[str] = (
        "KL needs differences that mean something: take the logit of a probability, and use RankNet or a "
        "Plackett-Luce loss for a teacher that only ranks"
    )

    kind: Literal["kl"] = "kl"
    teacher: str
    student_temperature: float = Field(default=0.05, gt=0.0)
    teacher_temperature: float = Field(default=1.0, gt=0.0)
    standardise: bool = False

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries, in nats."""
        from retkd.losses.listwise import kl, standardised

        mask, teacher = scored.batch.mask, scored.batch.teachers[self.teacher]
        return kl(
            scored.own,
            standardised(teacher, mask) if self.standardise else teacher,
            mask,
            student_temperature=self.student_temperature,
            teacher_temperature=self.teacher_temperature,
        )
