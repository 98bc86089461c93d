"""What every term of an objective has."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from retkd.parts import Part, Scale

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class Objective(Part):
    """One weighted term. ``SCALES`` are the teacher scales it can read; empty for terms without a teacher."""

    SCALES: ClassVar[tuple[Scale, ...]] = ()
    RULE: ClassVar[str] = ""
    NEEDS_POSITIVES: ClassVar[bool] = False

    weight: float = Field(default=1.0, gt=0.0)

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """The unweighted value of this term, a scalar."""
        raise NotImplementedError

    @property
    def needs_lists(self) -> bool:
        """Whether this term has no gradient where a query has a single candidate."""
        return self.teacher_name is not None

    @property
    def teacher_name(self) -> str | None:
        """The teacher column that this term reads, or None."""
        return getattr(self, "teacher", None)
