"""TAID: a target that begins near the student and moves to the teacher as the training goes on."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from retkd.objectives.base import ScoreObjective, Training

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class TAID(ScoreObjective):
    """:func:`retkd.losses.interpolated.interpolated_kl` at a teacher's share that never falls.

    The share rises with the steps from ``start`` to ``end``, and faster while the loss falls. Where it stands is in the
    trace as ``taid.share``.
    """

    RULE: ClassVar[str] = "taid mixes scores as logits, so ranks will not do: use list_mle or ranknet"

    kind: Literal["taid"] = "taid"
    student_temperature: float = Field(default=0.05, gt=0.0)
    teacher_temperature: float = Field(default=1.0, gt=0.0)
    start: float = Field(default=0.4, ge=0.0, lt=1.0)
    end: float = Field(default=1.0, gt=0.0, le=1.0)
    pace: float = Field(default=5e-4, ge=0.0, description="of the rise that follows the loss; 0: the steps alone count")
    momentum: float = Field(default=0.99, ge=0.0, lt=1.0, description="of the relative change of the loss")

    @model_validator(mode="after")
    def _rises(self) -> "TAID":
        if self.start > self.end:
            raise ValueError(f"the teacher's share never falls: start {self.start} is above end {self.end}")
        return self

    def bind(self, training: Training) -> Any:
        """The module that keeps the share."""
        from retkd.objectives.moving_target import MovingTarget

        return MovingTarget(self)

    def at(self, share: "float | Tensor", scored: "ScoredBatch") -> "Tensor":
        """Mean over queries at this share of the teacher, in nats."""
        from retkd.losses.interpolated import interpolated_kl

        return interpolated_kl(
            scored.own,
            self.teacher_scores(scored),
            scored.batch.mask,
            share=share,
            student_temperature=self.student_temperature,
            teacher_temperature=self.teacher_temperature,
        )
