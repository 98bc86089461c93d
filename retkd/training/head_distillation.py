"""The module that the trainer sees of a student with two heads: each term reads the vectors of its own."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from retkd.batch import Features, ScoredBatch
from retkd.encoders.two_heads import TwoHeadedEncoder, output_of
from retkd.heads import HEADS
from retkd.objectives.base import Objective, Training
from retkd.objectives.head import head_of
from retkd.objectives.rescored import rescored
from retkd.training.distillation import DistilledEncoder, WeightedObjective
from retkd.training.passes import Passes


class DistilledHeads(DistilledEncoder):
    """As :class:`DistilledEncoder`, with both heads' vectors of a text one behind the other until the objective."""

    def __init__(
        self,
        encoder: TwoHeadedEncoder,
        objective: Sequence[Objective],
        training: Training | None = None,
        passes: Passes | None = None,
    ) -> None:
        told = replace(training or Training(), student_dim=encoder.head_dim)
        super().__init__(encoder, [], told, passes=passes)
        self.objective = HeadedObjective(encoder, objective, told)

    def vectors(self, features: Features) -> Tensor:
        """``[text, both heads' dims]`` with gradient, as the heads give them."""
        found = self._through(features)
        return torch.cat([found[output_of(name)] for name in HEADS], dim=1)


class HeadedObjective(WeightedObjective):
    """The terms, each on the batch as its head scores it."""

    def __init__(self, encoder: TwoHeadedEncoder, objective: Sequence[Objective], training: Training) -> None:
        super().__init__(objective, training)
        self.heads, self.views = [head_of(term) for term in objective], encoder.views

    def values(self, scored: ScoredBatch) -> list[Tensor]:
        """The unweighted value of each, a scalar."""
        assert scored.queries is not None
        assert scored.documents is not None
        queries, documents = self.views(scored.queries), self.views(scored.documents)
        at = {name: rescored(scored, queries[name], documents[name]) for name in HEADS}
        return [term(at[head]) for term, head in zip(self.terms, self.heads, strict=True) if head is not None]
