"""KL whose queries count by how sure the teacher is and how far the student agrees."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import ScoreObjective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class AgreementKL(ScoreObjective):
    """:func:`retkd.losses.listwise.kl` with the weights of :func:`retkd.losses.agreement.agreement_weights`."""

    RULE: ClassVar[str] = "agreement_kl is a KL, so ranks will not do: use list_mle or ranknet"

    kind: Literal["agreement_kl"] = "agreement_kl"
    student_temperature: float = Field(default=0.05, gt=0.0)
    teacher_temperature: float = Field(default=1.0, gt=0.0)
    sharpness: float = Field(default=1.0, ge=0.0, description="0: all queries alike")

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Weighted mean over the queries of the batch, in nats."""
        from retkd.losses.agreement import agreement_weights
        from retkd.losses.listwise import kl

        lists = (scored.own, self.teacher_scores(scored), scored.batch.mask)
        weights = agreement_weights(
            *lists,
            student_temperature=self.student_temperature,
            teacher_temperature=self.teacher_temperature,
            sharpness=self.sharpness,
        )
        return kl(
            *lists,
            student_temperature=self.student_temperature,
            teacher_temperature=self.teacher_temperature,
            weights=weights,
        )
