"""Binary cross-entropy of the labels of a query's own candidates, one by one."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.base import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class LabelBCE(Objective):
    """:func:`retkd.losses.pointwise.soft_labels` with 1 for what is judged relevant and 0 for the rest.

    It gives scores a zero: above it a pair is likelier relevant than not. A contrastive loss leaves that open, so teachers
    whose raw scores are to be copied (`chatbot_mix`, `score_mse`) are taught by this. How most cross-encoders are trained
    (Nogueira and Cho 2019).
    """

    kind: Literal["label_bce"] = "label_bce"
    student_scale: float = Field(default=1.0, gt=0.0, description="20 for a student of cosines")
    student_bias: float = Field(default=0.0, description="added to the scaled scores; -10 for a student of cosines")

    @property
    def needs_positives(self) -> bool:
        """Always."""
        return True

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over valid pairs, in nats."""
        from retkd.losses.pointwise import soft_labels

        logits = scored.own * self.student_scale + self.student_bias
        return soft_labels(logits, scored.batch.positive.to(logits.dtype), scored.batch.mask)
