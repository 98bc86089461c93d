"""Mixup: between two queries the student shall rank as between their two lists."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.vectors import VectorObjective, of_sides

if TYPE_CHECKING:
    from torch import Tensor, nn

    from retkd.batch import ScoredBatch
    from retkd.objectives.base import Training


class Mixup(VectorObjective):
    """:func:`retkd.losses.listwise.soft_cross_entropy` of mixed vectors against mixed distributions over all of the batch.

    Queries are mixed with queries and rank documents, documents with documents and rank queries, all with one share, drawn
    for each step from Beta(``alpha``, ``alpha``). Beyer et al. 2022 and Choi et al. 2023 mix inputs; texts have none to mix.
    """

    REVISION: ClassVar[int] = 2  # the same draws on any number of processes

    kind: Literal["mixup"] = "mixup"
    alpha: float = Field(default=0.4, gt=0.0, description="towards 0: hardly mixed; 1: every share alike")
    student_temperature: float = Field(default=0.05, gt=0.0)
    teacher_temperature: float = Field(default=0.05, gt=0.0)

    def parts(self, training: "Training") -> "dict[str, nn.Module]":
        """What is drawn for each step."""
        from retkd.objectives.lots import Lots

        return {"lots": Lots(training.seed)}

    def mean_of_sides(self, scored: "ScoredBatch", parts: "Mapping[str, nn.Module]") -> "Tensor":
        """Mean over the sides of the mean over texts, in nats."""
        import torch

        with parts["lots"]():
            share = torch.distributions.Beta(self.alpha, self.alpha).sample().to(scored.in_batch.device)
            return torch.stack([self.mixed_loss(scored, side, share) for side in of_sides(self.sides)]).mean()

    def mixed_loss(self, scored: "ScoredBatch", side: str, share: "Tensor") -> "Tensor":
        """The loss of one side for a share of each text's own vector."""
        import torch

        from retkd.losses.listwise import soft_cross_entropy
        from retkd.losses.mixup import mixed, mixed_distributions

        assert scored.queries is not None
        assert scored.documents is not None
        teacher = scored.batch.in_batch_teachers[self.model]
        own, other = scored.queries, scored.documents
        if side == "documents":
            own, other, teacher = other, own, teacher.T
        order = torch.randperm(len(own)).to(own.device)
        scores = mixed(own, order, share) @ other.T
        target = mixed_distributions(teacher, order, share, temperature=self.teacher_temperature)
        mask = torch.ones_like(scores, dtype=torch.bool)
        return soft_cross_entropy(scores, target, mask, student_temperature=self.student_temperature)
