"""ICL: interactive contrastive learning: the student's query finds its document among the teacher's vectors, and the reverse."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.vectors import ProjectedObjective, of_sides, vectors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from retkd.batch import ScoredBatch


class ICL(ProjectedObjective):
    """:func:`retkd.losses.contrastive.infonce` between one side of the student and the other of the teacher (CLIP-KD).

    CLIP-KD learns its scale, and uses the logarithm of what it starts from; here it is 1 / ``temperature``.
    """

    kind: Literal["icl"] = "icl"
    temperature: float = Field(default=0.05, gt=0.0)

    @property
    def needs_positives(self) -> bool:
        """It learns from nothing else."""
        return True

    def mean_of_sides(self, scored: "ScoredBatch", parts: "Mapping[str, nn.Module]") -> "Tensor":
        """Mean over the sides of the mean over positives, in nats."""
        import torch
        from torch.nn import functional

        from retkd.losses.contrastive import infonce

        target, positive = scored.batch.own_positives, scored.batch.positives
        losses = []
        for side in of_sides(self.sides):
            student = functional.normalize(parts["projector"](getattr(scored, side)), dim=1)
            other = "documents" if side == "queries" else "queries"
            scores = student @ functional.normalize(vectors(scored, other, self.model)[1], dim=1).T
            marks = (target, positive) if side == "queries" else (target.T, positive.T)
            losses.append(infonce(scores, *marks, temperature=self.temperature))
        return torch.stack(losses).mean()
