"""Alignment and uniformity: positives near, everything else apart, on the sphere of the student's vectors."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.base import Objective
from retkd.objectives.vectors import Sides, of_sides

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class Alignment(Objective):
    """:func:`retkd.losses.spread.alignment` of each query with its judged positives; no teacher."""

    kind: Literal["alignment"] = "alignment"

    @property
    def needs_positives(self) -> bool:
        """It learns from nothing else."""
        return True

    @property
    def needs_vectors(self) -> bool:
        """The student's."""
        return True

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over positives, from 0 to 4."""
        from retkd.losses.spread import alignment

        assert scored.queries is not None
        assert scored.documents is not None
        return alignment(scored.queries, scored.documents, scored.batch.own_positives)


class Uniformity(Objective):
    """:func:`retkd.losses.spread.uniformity` of the batch's queries and of its documents; no teacher, no label."""

    kind: Literal["uniformity"] = "uniformity"
    sides: Sides = "both"
    temperature: float = Field(default=2.0, gt=0.0)

    @property
    def needs_vectors(self) -> bool:
        """The student's."""
        return True

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over the sides, from -4 temperature to 0."""
        import torch

        from retkd.losses.spread import uniformity

        values = [uniformity(getattr(scored, side), temperature=self.temperature) for side in of_sides(self.sides)]
        return torch.stack(values).mean()
