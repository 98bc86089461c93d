"""What every term of an objective has."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from retkd.parts import Part, Scale

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch

SCORES: tuple[Scale, ...] = ("logit", "log_probability", "cosine", "unbounded", "standardised")
"""Scales whose differences mean something."""
ORDERS: tuple[Scale, ...] = (*SCORES, "probability", "rank")
"""Scales whose order means something: all of them."""


class Objective(Part):
    """One weighted term. ``SCALES`` are the teacher scales it can read; empty for terms without a teacher."""

    SCALES: ClassVar[tuple[Scale, ...]] = ()
    RULE: ClassVar[str] = ""

    weight: float = Field(default=1.0, gt=0.0)

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """The unweighted value of this term, a scalar."""
        raise NotImplementedError

    @property
    def needs_lists(self) -> bool:
        """Whether this term has no gradient where a query has a single candidate."""
        return self.teacher_name is not None

    @property
    def reads_in_batch(self) -> bool:
        """Whether this term reads scores of documents that other queries brought."""
        return bool(getattr(self, "in_batch", False))

    @property
    def needs_positives(self) -> bool:
        """Whether this term learns from judged positives, so that rows without any cannot train it."""
        return False

    @property
    def teacher_name(self) -> str | None:
        """The teacher column that this term reads, or None."""
        return getattr(self, "teacher", None)


class OrderObjective(Objective):
    """A term that reads the order of a teacher's list and nothing else, so that a teacher that only ranks will do."""

    SCALES: ClassVar[tuple[Scale, ...]] = ORDERS

    teacher: str


class ScoreObjective(Objective):
    """A term that reads a teacher's differences."""

    SCALES: ClassVar[tuple[Scale, ...]] = SCORES

    teacher: str
    standardise: bool = Field(default=False, description="first bring each teacher list to mean 0, deviation 1")

    def teacher_scores(self, scored: "ScoredBatch") -> "Tensor":
        """``[query, cand]``, standardised if asked for."""
        from retkd.losses.listwise import standardised

        scores = scored.batch.teachers[self.teacher]
        return standardised(scores, scored.batch.mask) if self.standardise else scores
