"""Other vectors of the same texts, and the weighted terms of a wrapper on them."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from retkd.batch import ScoredBatch
from retkd.objectives.base import Objective, Training
from retkd.students.scoring import in_batch_scores, own_scores


def rescored(scored: ScoredBatch, queries: Tensor, documents: Tensor) -> ScoredBatch:
    """The batch as these vectors score it. What its teachers say stays."""
    with torch.autocast(queries.device.type, enabled=False):
        in_batch = in_batch_scores(queries, documents)
    own = own_scores(in_batch, scored.batch.candidates)
    return replace(scored, own=own, in_batch=in_batch, queries=queries, documents=documents)


class Terms(nn.Module):
    """Terms bound to one training; those with parameters or state are its submodules."""

    def __init__(self, objective: Sequence[Objective], training: Training) -> None:
        super().__init__()
        self.weights = [term.weight for term in objective]
        self.terms = [term.bind(training) for term in objective]
        self.trained = nn.ModuleList([term for term in self.terms if isinstance(term, nn.Module)])

    def forward(self, scored: ScoredBatch) -> Tensor:
        """Their weighted sum, a scalar."""
        return torch.stack([weight * term(scored) for weight, term in zip(self.weights, self.terms, strict=True)]).sum()
