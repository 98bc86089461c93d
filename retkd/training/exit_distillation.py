"""The module that the trainer sees of a student with exits: the objective at each exit, weighted and added up."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from retkd.batch import Batch
from retkd.encoders.exits import ExitEncoder
from retkd.objectives.base import Objective, Training
from retkd.training.distillation import DistilledEncoder, WeightedObjective, looked_up, scored, word_embeddings


class DistilledExits(DistilledEncoder):
    """One pass of the whole encoder, a loss at each exit. Terms with parameters of their own have them at each exit."""

    def __init__(
        self,
        encoder: ExitEncoder,
        objective: Sequence[Objective],
        weights: Sequence[float],
        training: Training | None = None,
    ) -> None:
        super().__init__(encoder, objective, training)
        told = training or Training(student_dim=encoder.dim)
        self.exits, self.exit_weights, self.vectors_at = encoder.exits, list(weights), encoder.vectors
        self.heads = encoder.heads
        self.earlier = nn.ModuleList([WeightedObjective(objective, told) for _ in self.exits[:-1]])

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """``loss`` and, detached, each exit's unweighted terms as ``exitN_LABEL``."""
        features = looked_up(word_embeddings(self.source), [batch.queries, *batch.documents])
        passes = [self.vectors_at(each) for each in features]
        at = {exit: scored(batch, [vectors[exit] for vectors in passes], progress) for exit in self.exits}
        last = at[self.exits[-1]]
        losses: list[Tensor] = []
        told: dict[str, Tensor] = {}
        for exit, weight, objective in zip(self.exits, self.exit_weights, [*self.earlier, self.objective], strict=True):
            seen = at[exit] if exit == self.exits[-1] else replace(at[exit], last_exit=last)
            terms = objective(seen)
            losses.append(weight * terms.pop("loss"))
            told |= {f"exit{exit}_{label}": value for label, value in terms.items()}
        return {"loss": torch.stack(losses).sum(), **told}
