"""CPRD: the teacher's order of the hard negatives that it holds for good ones, learned contrastively."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from retkd.objectives.base import OrderObjective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class CPRD(OrderObjective):
    """:func:`retkd.losses.plackett_luce.partial_ranking` over the negatives; add `infonce` for the positive.

    What is valid is not told by the paper's abstract: the ``top`` negatives of the teacher (ties as they stand), or
    those at or above ``threshold`` on the teacher's own scale; without either, all.
    """

    kind: Literal["cprd"] = "cprd"
    student_temperature: float = Field(default=0.05, gt=0.0)
    top: int | None = Field(default=None, ge=1)
    threshold: float | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> "CPRD":
        if self.top is not None and self.threshold is not None:
            raise ValueError("top and threshold are two rules for what is valid: give one")
        return self

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries, in nats."""
        from retkd.losses.plackett_luce import partial_ranking

        batch = scored.batch
        teacher, negatives = batch.teachers[self.teacher], batch.mask & ~batch.positive
        return partial_ranking(
            scored.own / self.student_temperature, teacher, self._valid(teacher, negatives), negatives
        )

    def _valid(self, teacher: "Tensor", negatives: "Tensor") -> "Tensor":
        from retkd.losses.plackett_luce import descending

        if self.top is not None:
            return negatives & (descending(teacher, negatives).argsort(dim=1) < self.top)
        return negatives if self.threshold is None else negatives & (teacher >= self.threshold)
