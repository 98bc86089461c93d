"""Regularisers of a sparse student: few terms in a text, and not the same ones in every text."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import Objective, Training

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class Sparsity(Objective):
    """A regulariser of one side's term weights, whose ``weight`` grows with the square of the step (SPLADE, DiSCo)."""

    REGULARISES: ClassVar[bool] = True

    side: Literal["query", "document"]
    ramp: float = Field(default=0.33, ge=0.0, le=1.0, description="share of the steps in which the weight grows")

    @property
    def students(self) -> tuple[str, ...]:
        """Those with term weights."""
        return ("sparse_encoder",)

    def bind(self, training: Training) -> "Callable[[ScoredBatch], Tensor]":
        """The regulariser times its ramp: T is ``ramp`` of the training's steps."""
        from retkd.losses.sparsity import quadratic_ramp

        ramp_steps = round(self.ramp * training.steps)

        def ramped(scored: "ScoredBatch") -> "Tensor":
            return self.loss(scored) * quadratic_ramp(scored.progress * training.steps, ramp_steps)

        return ramped

    def weights_of(self, scored: "ScoredBatch") -> "Tensor":
        """``[text, vocab]`` of the side."""
        weights = scored.queries if self.side == "query" else scored.documents
        assert weights is not None, "a sparse student has term weights"
        return weights


class Flops(Sparsity):
    """:func:`retkd.losses.sparsity.flops` of one side."""

    kind: Literal["flops"] = "flops"

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Sum over the terms of the squared mean weight."""
        from retkd.losses.sparsity import flops

        return flops(self.weights_of(scored))


class L1(Sparsity):
    """:func:`retkd.losses.sparsity.l1` of one side."""

    kind: Literal["l1"] = "l1"

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over the texts of their summed weights."""
        from retkd.losses.sparsity import l1

        return l1(self.weights_of(scored))
