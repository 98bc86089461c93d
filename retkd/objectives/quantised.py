"""Quantised: the same terms on documents as an index of few bits holds them, so that the student learns to be held so."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.base import Training
from retkd.objectives.projectors import required_dim
from retkd.objectives.wrapper import Wrapper

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class Quantised(Wrapper):
    """The weighted sum of ``terms`` where the documents' vectors are rounded, with a straight-through gradient.

    ``binary``: :func:`retkd.losses.quantisation.signs`, for one-bit indexes; ``int8``:
    :func:`retkd.losses.quantisation.eight_bits`, for sq8. Queries are never stored, so they stay whole unless told otherwise.
    """

    kind: Literal["quantised"] = "quantised"
    codes: Literal["binary", "int8"] = "binary"
    queries: bool = Field(default=False, description="round the queries' vectors too, for search by Hamming distance")

    def bind(self, training: Training) -> "Callable[[ScoredBatch], Tensor]":
        """The terms on rounded vectors."""
        from retkd.objectives.rounded import Rounded

        required_dim(training.student_dim, self.kind)
        return Rounded(self, training)
