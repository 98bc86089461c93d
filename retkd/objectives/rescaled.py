"""A term bound to one training in which its temperature is learned."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from retkd.objectives.learned import Learned

if TYPE_CHECKING:
    from retkd.batch import ScoredBatch
    from retkd.objectives.base import Objective


class Rescaled(nn.Module):
    """The term at the temperature where the learned one began, on scores divided by what it has been multiplied by since.

    That factor is within^tanh(rate x p / ln within), p a parameter that begins at 0, where its slope is ``rate``.
    """

    def __init__(self, term: "Objective", name: str) -> None:
        super().__init__()
        self.name = name
        self.learned: Learned = getattr(term, name)
        self.term = term.model_copy(update={name: self.learned.learned_from})
        self.position = nn.Parameter(torch.zeros(()))

    @property
    def factor(self) -> Tensor:
        """The temperature over the one that it began with."""
        most = math.log(self.learned.within)
        return torch.exp(most * torch.tanh(self.learned.rate * self.position / most))

    def forward(self, scored: "ScoredBatch") -> Tensor:
        """The term's value at the temperature that it has now."""
        factor = self.factor
        return self.term.loss(replace(scored, own=scored.own / factor, in_batch=scored.in_batch / factor))

    def told(self) -> dict[str, Tensor]:
        """The temperature, under the name of the key."""
        return {self.name: self.learned.learned_from * self.factor.detach()}
