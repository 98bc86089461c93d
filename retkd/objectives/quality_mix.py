"""Labels and a teacher's list, mixed query by query by how well the teacher ranks it."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import ScoreObjective
from retkd.objectives.contrastive import contrastive

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class QualityMix(ScoreObjective):
    """(1 - c_q) InfoNCE + c_q KL, c_q the teacher's ``measure`` at ``cutoff`` on the query's own judged candidates.

    For self-distillation over generations, where the paper's c is one mAP@k for a whole batch or epoch. A query without a
    judged positive has quality 0 and no target, and so teaches nothing.
    """

    RULE: ClassVar[str] = "quality_mix holds a KL, so ranks will not do: use list_mle beside infonce"

    kind: Literal["quality_mix"] = "quality_mix"
    temperature: float = Field(default=0.05, gt=0.0, description="of InfoNCE")
    student_temperature: float = Field(default=0.05, gt=0.0)
    teacher_temperature: float = Field(default=1.0, gt=0.0)
    measure: Literal["AP", "RR", "nDCG"] = "AP"
    cutoff: int = Field(default=10, ge=1)
    in_batch: bool = Field(default=True, description="whether InfoNCE takes other queries' documents for negatives")

    @property
    def needs_positives(self) -> bool:
        """Both halves hang on them."""
        return True

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """In nats."""
        from retkd.losses.listwise import kl
        from retkd.losses.quality import list_quality

        batch, teacher = scored.batch, self.teacher_scores(scored)
        quality = list_quality(teacher, batch.positive, batch.mask, measure=self.measure, cutoff=self.cutoff)
        labels = contrastive(scored, temperature=self.temperature, in_batch=self.in_batch, weights=1 - quality)
        return labels + kl(
            scored.own,
            teacher,
            batch.mask,
            student_temperature=self.student_temperature,
            teacher_temperature=self.teacher_temperature,
            weights=quality,
        )
