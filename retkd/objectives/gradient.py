"""Gradient: what the labels would change in the teacher's vectors they shall change in the student's."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.vectors import ProjectedObjective, of_sides, vectors

if TYPE_CHECKING:
    from torch import Tensor, nn

    from retkd.batch import ScoredBatch


class Gradient(ProjectedObjective):
    """:func:`retkd.losses.gradients.pull_mse` of InfoNCE's gradients with respect to both sides' unit vectors, of queries
    looking for documents and, at ``sides: both``, of documents looking for queries (CLIP-KD's GD, its four terms in pairs).

    ``sides`` says who looks. CLIP-KD adds up its two directions with a weight of 1e8: 2e8 here, where `both` is a mean.
    """

    kind: Literal["gradient"] = "gradient"
    temperature: float = Field(default=0.05, gt=0.0)

    @property
    def needs_positives(self) -> bool:
        """Without them nothing pulls."""
        return True

    def mean_of_sides(self, scored: "ScoredBatch", parts: "Mapping[str, nn.Module]") -> "Tensor":
        """Mean over the sides that look."""
        import torch
        from torch.nn import functional

        from retkd.losses.gradients import contrastive_pull, pull_mse

        both = {}
        for side in ("queries", "documents"):
            student, teacher = vectors(scored, side, self.model)
            both[side] = functional.normalize(parts["projector"](student), dim=1), functional.normalize(teacher, dim=1)
        target = scored.batch.own_positives
        looking = {"queries": ("queries", "documents", target), "documents": ("documents", "queries", target.T)}
        losses = []
        for looks, found, marks in (looking[side] for side in of_sides(self.sides)):
            pulls = [
                contrastive_pull(both[looks][who], both[found][who], marks, temperature=self.temperature)
                for who in (0, 1)
            ]
            losses.append(pull_mse(*pulls))
        return torch.stack(losses).mean()
