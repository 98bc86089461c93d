"""Terms that copy a teacher's scores pair by pair, as numbers between 0 and 1: the two halves of Trans-Encoder."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import Objective
from retkd.parts import Scale

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class AbsoluteObjective(Objective):
    """A term whose target is the teacher's score, mapped to a number between 0 and 1. How is said, never guessed."""

    RULE: ClassVar[str] = "each mapping reads one scale: clip and shift a cosine, sigmoid a logit, as_is a probability"
    READS: ClassVar[dict[str, tuple[Scale, ...]]] = {
        "clip": ("cosine",),
        "shift": ("cosine",),
        "sigmoid": ("logit",),
        "as_is": ("probability",),
    }

    teacher: str
    mapping: Literal["clip", "shift", "sigmoid", "as_is"] = Field(
        description="clip: a cosine below 0 counts as 0. shift: (cos + 1) / 2. sigmoid: of a logit. as_is: a probability"
    )

    @property
    def scales(self) -> tuple[Scale, ...]:
        """That of the mapping."""
        return self.READS[self.mapping]

    @property
    def needs_lists(self) -> bool:
        """Each pair teaches by itself."""
        return False

    def target(self, scored: "ScoredBatch") -> "Tensor":
        """``[query, cand]``, between 0 and 1."""
        from retkd.losses.pointwise import unit_interval

        return unit_interval(scored.batch.teachers[self.teacher], self.mapping)


class BCE(AbsoluteObjective):
    """:func:`retkd.losses.pointwise.soft_labels` on ``student_scale`` times the student's scores, read as logits."""

    kind: Literal["bce"] = "bce"
    student_scale: float = Field(default=1.0, gt=0.0, description="1 is for logits of `teach`; a cosine needs some 10")

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over pairs, in nats."""
        from retkd.losses.pointwise import soft_labels

        return soft_labels(scored.own * self.student_scale, self.target(scored), scored.batch.mask)


class ScoreMSE(AbsoluteObjective):
    """:func:`retkd.losses.pointwise.squared_errors` of the student's scores, which are cosines in `train`.

    In `teach`, where they are logits, set ``student: sigmoid``.
    """

    kind: Literal["score_mse"] = "score_mse"
    student: Literal["clip", "shift", "sigmoid", "as_is"] = Field(
        default="as_is", description="how the student's score is mapped; as_is: the cosine itself shall be the target"
    )

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over pairs, between 0 and 4."""
        from retkd.losses.pointwise import squared_errors, unit_interval

        return squared_errors(unit_interval(scored.own, self.student), self.target(scored), scored.batch.mask)
