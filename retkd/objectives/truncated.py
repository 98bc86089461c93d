"""Matryoshka's terms bound to one training, and a batch cut to its first coordinates."""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from retkd.batch import ScoredBatch
from retkd.objectives.base import Training
from retkd.objectives.lots import Lots
from retkd.objectives.rescored import rescored
from retkd.objectives.terms import Terms

if TYPE_CHECKING:
    from retkd.objectives.matryoshka import Matryoshka


class Truncated(nn.Module):
    """The terms of each width."""

    def __init__(self, objective: "Matryoshka", training: Training) -> None:
        super().__init__()
        self.dims, self.drawn = objective.dims, objective.dims_per_step
        self.dim_weights = objective.dim_weights or [1.0] * len(objective.dims)
        self.lots = Lots(training.seed)
        self.widths = nn.ModuleList([Terms(objective.terms, replace(training, student_dim=dim)) for dim in self.dims])

    def forward(self, scored: ScoredBatch) -> Tensor:
        """The weighted sum over the widths of this step, a scalar."""
        values = [
            self.dim_weights[place] * self.widths[place](truncated(scored, self.dims[place])) for place in self.places()
        ]
        return torch.stack(values).sum()

    def places(self) -> list[int]:
        """Which widths this step trains."""
        if self.drawn is None or not self.training:
            return list(range(len(self.dims)))
        with self.lots():
            return sorted(torch.randperm(len(self.dims))[: self.drawn].tolist())


def truncated(scored: ScoredBatch, dim: int) -> ScoredBatch:
    """The batch as vectors cut to ``dim`` coordinates, then normalised, score it."""
    assert scored.queries is not None
    assert scored.documents is not None
    return rescored(
        scored, *(functional.normalize(each[:, :dim], dim=1) for each in (scored.queries, scored.documents))
    )
