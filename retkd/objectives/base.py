"""What every term of an objective has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Training:
    """What a term may know of the training that it is part of. Widths are those of vectors; ``teacher_dims`` by the name
    under which the terms know an encoder, their ``model``."""

    student_dim: int | None = None
    teacher_dims: Mapping[str, int] = field(default_factory=dict)
    steps: int = 0
    seed: int = 0


class Objective(Part):
    """One weighted term. ``SCALES`` are the teacher scales it can read; empty for terms without a teacher."""

    SCALES: ClassVar[tuple[Scale, ...]] = ()
    RULE: ClassVar[str] = ""
    REGULARISES: ClassVar[bool] = False
    """Whether this term restrains the student, whatever it learns from: controls without a teacher keep it."""

    weight: float = Field(default=1.0, gt=0.0)

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """The unweighted value of this term, a scalar."""
        raise NotImplementedError

    def bind(self, training: Training) -> "Callable[[ScoredBatch], Tensor]":
        """What gives this term's value throughout one training: :meth:`loss`, or a torch module with parameters or state.

        A module is trained and checkpointed with the student and never becomes part of it.
        """
        return self.loss

    @property
    def reads_vectors(self) -> bool:
        """Whether this term reads the vectors of the encoder that it names as ``model``."""
        return False

    @property
    def students(self) -> tuple[str, ...]:
        """The kinds of encoder that can learn this: every kind has scores, only a dense one vectors like a teacher's."""
        return ("encoder",) if self.reads_vectors else ("encoder", "sparse_encoder", "late_interaction_encoder")

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
