"""Alignment and uniformity: positives near, everything else apart, on the sphere of the student's vectors."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.base import Objective, Training
from retkd.objectives.projectors import required_dim
from retkd.objectives.vectors import Sides, of_sides

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class SpreadObjective(Objective):
    """A term of the student's vectors alone."""

    @property
    def needs_vectors(self) -> bool:
        """The student's."""
        return True

    def bind(self, training: Training) -> "Callable[[ScoredBatch], Tensor]":
        """The term in full precision."""
        from retkd.objectives.bound import Bound

        required_dim(training.student_dim, self.kind)  # type: ignore[attr-defined]
        return Bound({}, lambda scored, _: self.loss(scored))


class Alignment(SpreadObjective):
    """:func:`retkd.losses.spread.alignment` of each query with its judged positives; no teacher."""

    kind: Literal["alignment"] = "alignment"

    @property
    def needs_positives(self) -> bool:
        """It learns from nothing else."""
        return True

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over positives, from 0 to 4."""
        from retkd.losses.spread import alignment

        assert scored.queries is not None
        assert scored.documents is not None
        return alignment(scored.queries, scored.documents, scored.batch.own_positives)


class Uniformity(SpreadObjective):
    """:func:`retkd.losses.spread.uniformity` of the batch's queries and of its documents; no teacher, no label."""

    kind: Literal["uniformity"] = "uniformity"
    sides: Sides = "both"
    temperature: float = Field(default=2.0, gt=0.0)

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over the sides, from -4 temperature to 0."""
        import torch

        from retkd.losses.spread import uniformity

        values = [uniformity(getattr(scored, side), temperature=self.temperature) for side in of_sides(self.sides)]
        return torch.stack(values).mean()
