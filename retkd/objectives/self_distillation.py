"""The last exit of a student with several teaches the earlier ones."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.base import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class SelfDistillation(Objective):
    """What an earlier exit is from the last one, which is detached; 0 at the last exit itself.

    ``scores``: :func:`retkd.losses.listwise.kl` over all documents of the batch. ``vectors``: 1 - cosine of the vectors of
    each text. Zhang et al. 2019, "Be Your Own Teacher"; as sentence-transformers' AdaptiveLayerLoss, whose KL is over the
    dimensions of the vectors.
    """

    kind: Literal["self_distillation"] = "self_distillation"
    by: Literal["scores", "vectors"] = "scores"
    temperature: float = Field(default=0.05, gt=0.0, description="of both sides' scores")

    @property
    def needs_exits(self) -> bool:
        """Always."""
        return True

    @property
    def reads_in_batch(self) -> bool:
        """Scores are of all documents of the batch."""
        return self.by == "scores"

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries, in nats; or mean over queries and documents."""
        import torch

        from retkd.losses.embedding import cosine_distance
        from retkd.losses.listwise import kl

        last = scored.last_exit
        if last is None:
            return scored.in_batch.new_zeros(())
        if self.by == "scores":
            return kl(
                scored.in_batch,
                last.in_batch,
                torch.ones_like(scored.in_batch, dtype=torch.bool),
                student_temperature=self.temperature,
                teacher_temperature=self.temperature,
            )
        own, other = (torch.cat([_vectors(each.queries), _vectors(each.documents)]) for each in (scored, last))
        return cosine_distance(own, other)


def _vectors(vectors: "Tensor | None") -> "Tensor":
    assert vectors is not None
    return vectors
