"""SinKD: the score profiles of a batch as a whole shall be the teacher's."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import ScoreObjective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class SinKD(ScoreObjective):
    """:func:`retkd.losses.sinkhorn.sinkhorn_distance`, beside a term that ties each query to its own list.

    The authors' weight of 0.001 is for the sum over a batch; this is the mean.
    """

    RULE: ClassVar[str] = "sinkd compares distributions of scores, so ranks will not do"
    BESIDE: ClassVar[Literal["teacher"]] = "teacher"
    WHY_BESIDE: ClassVar[str] = "its value stays the same when the teacher's lists are dealt to other queries"

    kind: Literal["sinkd"] = "sinkd"
    student_temperature: float = Field(default=0.1, gt=0.0)
    teacher_temperature: float = Field(default=2.0, gt=0.0)
    smoothing: float = Field(default=0.1, gt=0.0, description="of the plan; costs lie between 0 and 2")
    iterations: int = Field(default=20, ge=1)

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries, between 0 and 2."""
        from retkd.losses.sinkhorn import sinkhorn_distance

        return sinkhorn_distance(
            scored.own,
            self.teacher_scores(scored),
            scored.batch.mask,
            student_temperature=self.student_temperature,
            teacher_temperature=self.teacher_temperature,
            smoothing=self.smoothing,
            num_iterations=self.iterations,
        )
