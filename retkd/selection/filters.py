"""False-negative filters: a document that the teacher likes too well is no negative.

MS MARCO and its like judge one document of many relevant ones. Each filter compares a candidate's teacher score with a
constant or with the score of the query's best positive, and says how many rows it took.
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from retkd.errors import ScaleError
from retkd.parts import Part, Scale

NOT_RANK: tuple[Scale, ...] = ("logit", "log_probability", "probability", "cosine", "unbounded", "standardised")


class Filter(Part):
    """Keeps or drops candidates by one teacher's score."""

    SCALES: ClassVar[tuple[Scale, ...]] = NOT_RANK
    RULE: ClassVar[str] = "take a teacher that gives scores; a rank has no magnitude"

    teacher: str

    def keeps(self, scores: np.ndarray, best_positive: np.ndarray) -> np.ndarray:
        """Bool per candidate. ``best_positive`` is its query's highest positive score; NaN when there is none."""
        raise NotImplementedError

    def require(self, scale: Scale) -> None:
        """Raise :class:`ScaleError` when this filter means nothing on ``scale``."""
        if scale not in self.SCALES:
            raise ScaleError(
                f"the filter {self.kind!r} cannot use the scores of teacher {self.teacher!r}",  # type: ignore[attr-defined]
                where=f"column teacher.{self.teacher}",
                seen=f"scale {scale!r}",
                allowed=", ".join(self.SCALES),
                next_step=self.RULE,
            )


class Absolute(Filter):
    """Drops candidates that score above ``max_score``, on the teacher's raw scale."""

    kind: Literal["absolute"] = "absolute"
    max_score: float

    def keeps(self, scores: np.ndarray, best_positive: np.ndarray) -> np.ndarray:
        """score <= max_score."""
        return scores <= self.max_score


class Margin(Filter):
    """Drops candidates that are not at least ``margin`` below the query's best positive; without a positive, none."""

    kind: Literal["margin"] = "margin"
    margin: float = 0.0

    def keeps(self, scores: np.ndarray, best_positive: np.ndarray) -> np.ndarray:
        """score <= positive - margin."""
        kept: np.ndarray = np.isnan(best_positive) | (scores <= best_positive - self.margin)
        return kept


class Percentage(Filter):
    """Drops candidates above ``percentage`` of the query's best positive score (NV-Retriever's TopK-PercPos).

    Only where zero means "not relevant" and no score is negative: 95 % of a logit of -3 is above it.
    """

    SCALES: ClassVar[tuple[Scale, ...]] = ("probability",)
    RULE: ClassVar[str] = (
        "a percentage means nothing on this scale (95 % of -3 is -2.85, which is higher): use {kind: margin, margin: ...}"
    )

    kind: Literal["percentage"] = "percentage"
    percentage: float = Field(default=0.95, gt=0.0, le=1.0)

    def keeps(self, scores: np.ndarray, best_positive: np.ndarray) -> np.ndarray:
        """score <= percentage * positive."""
        kept: np.ndarray = np.isnan(best_positive) | (scores <= self.percentage * best_positive)
        return kept
