"""Weighted terms bound to one training."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from retkd.batch import ScoredBatch
from retkd.objectives.base import Objective, Training


class Terms(nn.Module):
    """The terms of an objective. Those with parameters or state of their own are submodules."""

    def __init__(self, objective: Sequence[Objective], training: Training) -> None:
        super().__init__()
        self.weights = [term.weight for term in objective]
        self.terms: list[Any] = [term.bind(training) for term in objective]
        self.trained = nn.ModuleList([term for term in self.terms if isinstance(term, nn.Module)])

    def values(self, scored: ScoredBatch) -> list[Tensor]:
        """The unweighted value of each, a scalar."""
        return [term(scored) for term in self.terms]

    def total(self, values: Sequence[Tensor]) -> Tensor:
        """The weighted sum of the values, a scalar."""
        return torch.stack([weight * value for weight, value in zip(self.weights, values, strict=True)]).sum()

    def forward(self, scored: ScoredBatch) -> Any:
        """The weighted sum."""
        return self.total(self.values(scored))
