"""Numbers that a term draws by lot: they depend on the training's seed and on how often it drew before, on nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Lots(nn.Module):
    """The draws of one term. How many there were is saved with the training.

    So a training draws the same on any number of processes, whatever dropout draws beside it, and after it was cut short.
    """

    draws: Tensor

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    @contextmanager
    def forward(self) -> Iterator[None]:
        """What torch draws on the CPU inside is the next draw; outside, nothing of it is noticed. Only a training goes on."""
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed((self.seed * 1_000_003 + int(self.draws)) % 2**63)
            yield
        if self.training:
            self.draws += 1
