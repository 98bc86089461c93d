"""Affinity mimicking: an encoder's view of the batch from the queries and from the documents."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.base import Objective
from retkd.objectives.learned import Temperature
from retkd.parts import Encoder

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class Affinity(Objective):
    """:func:`retkd.losses.affinity.affinity_mimicking` over all documents of the batch, from an encoder as teacher.

    `in_batch_kl` is its first half up to the teacher's entropy. Each side has a temperature of its own, as each CLIP has a
    logit scale of its own. A hard negative is about none of the queries, and what it would look back at is noise: so
    ``back: positive`` asks only documents that some query of the batch is known to want, as texts of images are.
    """

    kind: Literal["affinity"] = "affinity"
    model: Encoder
    student_temperature: Temperature = 0.05
    teacher_temperature: float = Field(default=0.05, gt=0.0)
    back: Literal["all", "positive"] = Field(default="positive", description="which documents look back at the queries")

    @property
    def reads_in_batch(self) -> bool:
        """Always."""
        return True

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Half the mean over queries and half that over documents, in nats."""
        import torch

        from retkd.losses.affinity import affinity_mimicking

        batch = scored.batch
        wanted = batch.relevant.any(dim=0)
        return affinity_mimicking(
            scored.in_batch,
            batch.in_batch_teachers[self.model],
            wanted if self.back == "positive" else torch.ones_like(wanted),
            student_temperature=self.student_temperature,
            teacher_temperature=self.teacher_temperature,
        )
