"""False-negative filters: a document that the teacher likes too well is no negative.

MS MARCO and its like judge one document of many relevant ones. A filter looks at the whole table, takes rows, and its
``reason`` stands beside their number in the audit. The filters of one teacher's score compare a candidate with a
constant or with the score of the query's best positive.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from retkd.errors import ScaleError
from retkd.parts import Part, Scale

if TYPE_CHECKING:
    import pyarrow as pa

    from retkd.selection.lists import Lists

NOT_RANK: tuple[Scale, ...] = ("logit", "log_probability", "probability", "cosine", "unbounded", "standardised")


class Filter(Part):
    """Takes rows. Positives are spared, unless the filter is about ``WHOLE_LISTS``."""

    WHOLE_LISTS: ClassVar[bool] = False

    def check(self, rows: "pa.Table") -> None:
        """Raise a :class:`RetkdError` when this filter cannot read the table."""

    def kept(self, lists: "Lists") -> np.ndarray:
        """Bool per row of the table; what is said of a positive does not count."""
        raise NotImplementedError

    @property
    def reason(self) -> str:
        """Why the rows went, as the audit says it."""
        return f"{self.kind} filter"  # type: ignore[attr-defined, no-any-return]


class ScoreFilter(Filter):
    """Keeps or drops candidates by one teacher's score; a row that the teacher has not scored stays."""

    SCALES: ClassVar[tuple[Scale, ...]] = NOT_RANK
    RULE: ClassVar[str] = "take a teacher that gives scores; a rank has no magnitude"

    teacher: str

    def keeps(self, scores: np.ndarray, best_positive: np.ndarray) -> np.ndarray:
        """Bool per candidate. ``best_positive`` is its query's highest positive score; NaN when there is none."""
        raise NotImplementedError

    def kept(self, lists: "Lists") -> np.ndarray:
        """What :meth:`keeps` says of the rows that the teacher has scored."""
        scores = lists.scores(self.teacher)
        return np.asarray(np.isnan(scores) | self.keeps(scores, lists.best_positive(scores)))

    def check(self, rows: "pa.Table") -> None:
        """The teacher is there and on a scale that this filter means something on."""
        from retkd.candidates import scale_of

        self.require(scale_of(rows, self.teacher))

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

    @property
    def reason(self) -> str:
        """The kind and the teacher."""
        return f"{self.kind} filter on {self.teacher}"  # type: ignore[attr-defined]


class Absolute(ScoreFilter):
    """Drops candidates that score above ``max_score``, on the teacher's raw scale."""

    kind: Literal["absolute"] = "absolute"
    max_score: float

    def keeps(self, scores: np.ndarray, best_positive: np.ndarray) -> np.ndarray:
        """score <= max_score."""
        return scores <= self.max_score


class Margin(ScoreFilter):
    """Drops candidates that are not at least ``margin`` below the query's best positive; without a positive, none."""

    kind: Literal["margin"] = "margin"
    margin: float = 0.0

    def keeps(self, scores: np.ndarray, best_positive: np.ndarray) -> np.ndarray:
        """score <= positive - margin."""
        kept: np.ndarray = np.isnan(best_positive) | (scores <= best_positive - self.margin)
        return kept


class Percentage(ScoreFilter):
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


class RankRange(Filter):
    """Drops candidates whose rank with the miner is below ``min_rank`` or above ``max_rank``, both inclusive."""

    kind: Literal["rank_range"] = "rank_range"
    min_rank: int = Field(default=1, ge=1)
    max_rank: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _rising(self) -> "RankRange":
        if self.max_rank is not None and self.max_rank < self.min_rank:
            raise ValueError(f"max_rank {self.max_rank} is less than min_rank {self.min_rank}")
        return self

    def kept(self, lists: "Lists") -> np.ndarray:
        """min_rank <= rank <= max_rank."""
        ranks: Any = lists.rows["rank"].to_numpy()
        return np.asarray((ranks >= self.min_rank) & (self.max_rank is None or ranks <= self.max_rank))
