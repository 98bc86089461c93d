"""KL over every document of the batch, from a teacher that is an encoder and so has a score for every pair."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.base import Objective
from retkd.objectives.learned import Temperature
from retkd.parts import Encoder

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class InBatchKL(Objective):
    """:func:`retkd.losses.listwise.kl` over all documents of the batch.

    A cross-encoder has scored a query's own candidates and no other column: `kl` is for it. A dual encoder gives the
    inner product of any query with any document, so here every column is a scored one, and a batch of b queries with k
    documents each teaches b x b x k scores for the price of b x k encodings. Known for image and text as contrastive
    relational distillation (CLIP-KD, Yang et al. 2024) and affinity mimicking (TinyCLIP, Wu et al. 2023).
    """

    kind: Literal["in_batch_kl"] = "in_batch_kl"
    model: Encoder
    student_temperature: Temperature = 0.05
    teacher_temperature: float = Field(default=0.05, gt=0.0)

    @property
    def reads_in_batch(self) -> bool:
        """Always."""
        return True

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries, in nats."""
        import torch

        from retkd.losses.listwise import kl

        return kl(
            scored.in_batch,
            scored.batch.in_batch_teachers[self.model],
            torch.ones_like(scored.in_batch, dtype=torch.bool),
            student_temperature=self.student_temperature,
            teacher_temperature=self.teacher_temperature,
        )
