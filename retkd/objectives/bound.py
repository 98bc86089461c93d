"""A term bound to one training, as a torch module: its parts are trained and checkpointed with the student."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from retkd.batch import ScoredBatch


class Bound(nn.Module):
    """``loss`` of a batch and ``parts``, in full precision also where the student runs in half."""

    def __init__(
        self, parts: Mapping[str, nn.Module], loss: Callable[[ScoredBatch, Mapping[str, nn.Module]], Tensor]
    ) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self.loss = loss

    def forward(self, scored: ScoredBatch) -> Tensor:
        """The unweighted value of the term, a scalar."""
        with torch.autocast(scored.in_batch.device.type, enabled=False):
            return self.loss(scored, self.parts)  # type: ignore[arg-type]
