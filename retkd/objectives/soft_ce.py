"""Cross-entropy against sparse targets: weights that a sparsify stage stored."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import Objective
from retkd.parts import Scale

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class SoftCE(Objective):
    """:func:`retkd.losses.listwise.soft_cross_entropy` over a query's own candidates.

    The student's softmax sees the rows that the sparsify stage left in the list. Only with all of them (``num_undrawn:
    null``) is the mean gradient over draws that of the whole distribution; with few, the rest of the list is out of sight.
    """

    SCALES: ClassVar[tuple[Scale, ...]] = ("distribution",)
    RULE: ClassVar[str] = "soft_ce reads the weights of a sparsify stage (its target's name); raw scores are for kl"

    kind: Literal["soft_ce"] = "soft_ce"
    teacher: str = Field(description="a target of the sparsify stage")
    student_temperature: float = Field(default=0.05, gt=0.0)

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries, in nats."""
        from retkd.losses.listwise import soft_cross_entropy

        batch = scored.batch
        return soft_cross_entropy(
            scored.own, batch.teachers[self.teacher], batch.mask, student_temperature=self.student_temperature
        )
