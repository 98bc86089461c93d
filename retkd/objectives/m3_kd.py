"""BGE's distillation loss: the teacher's probabilities as weights of a contrastive loss over the batch."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import ScoreObjective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class M3KD(ScoreObjective):
    """:func:`retkd.losses.plackett_luce.weighted_contrastive`.

    With ``in_batch`` the documents that other queries brought stand in the denominators, but those known to be relevant do
    not. They get no target: no teacher has scored them.
    """

    RULE: ClassVar[str] = "m3_kd weighs candidates by the teacher's probabilities, so ranks will not do: use list_mle"

    kind: Literal["m3_kd"] = "m3_kd"
    student_temperature: float = Field(default=0.05, gt=0.0)
    teacher_temperature: float = Field(default=1.0, gt=0.0)
    in_batch: bool = True

    @property
    def needs_lists(self) -> bool:
        """Alone with its own list, a candidate needs another in it."""
        return not self.in_batch

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries, in nats."""
        from retkd.losses.plackett_luce import weighted_contrastive

        return weighted_contrastive(
            scored.own / self.student_temperature,
            self.teacher_scores(scored),
            scored.batch.mask,
            teacher_temperature=self.teacher_temperature,
            extra=self._others(scored) if self.in_batch else None,
        )

    def _others(self, scored: "ScoredBatch") -> "Tensor":
        """Scores of the documents that only other queries brought; minus infinity at own and at relevant ones."""
        import torch

        batch = scored.batch
        row = torch.arange(batch.mask.shape[0], device=batch.mask.device).unsqueeze(1).expand_as(batch.mask)
        shut = batch.positives.clone()
        shut[row[batch.mask], batch.candidates[batch.mask]] = True
        return (scored.in_batch / self.student_temperature).masked_fill(shut, -torch.inf)
