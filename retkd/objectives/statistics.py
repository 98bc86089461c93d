"""What a term remembers of its teacher's vectors: running statistics, and the directions in which they differ."""

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """Each dimension at mean 0 and deviation 1 by running statistics. They begin with those of the first batch."""

    mean: Tensor
    variance: Tensor
    begun: Tensor

    def __init__(self, dim: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("variance", torch.ones(dim))
        self.register_buffer("begun", torch.tensor(False))

    def forward(self, vectors: Tensor) -> Tensor:
        """``[text, dim]``, after the batch has entered the statistics; a dimension that never varies becomes 0."""
        if self.training:
            self._enter(vectors.detach())
        return (vectors - self.mean) / (self.variance + 1e-12).sqrt()

    def _enter(self, vectors: Tensor) -> None:
        share = torch.where(self.begun, self.momentum, 1.0)
        self.mean.lerp_(vectors.mean(dim=0), share)
        self.variance.lerp_(vectors.var(dim=0, correction=0), share)
        self.begun.fill_(True)


class Principal(nn.Module):
    """Coordinates along the first principal directions of the first batch, each at mean 0 and deviation 1 there."""

    mean: Tensor
    directions: Tensor
    begun: Tensor

    def __init__(self, dim: int, num_directions: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("directions", torch.zeros(dim, num_directions))
        self.register_buffer("begun", torch.tensor(False))

    def forward(self, vectors: Tensor) -> Tensor:
        """``[text, direction]``."""
        if not self.begun:
            self._begin(vectors.detach())
        return (vectors - self.mean) @ self.directions

    def _begin(self, vectors: Tensor) -> None:
        self.mean.copy_(vectors.mean(dim=0))
        centred = (vectors - self.mean).double()
        _, deviations, rows = torch.linalg.svd(centred / len(vectors) ** 0.5, full_matrices=False)
        num_directions = self.directions.shape[1]
        found, scale = rows[:num_directions].T, deviations[:num_directions].clamp(min=1e-6)
        sign = found.gather(0, found.abs().argmax(dim=0, keepdim=True)).sign()
        self.directions[:, : found.shape[1]] = (found * sign / scale).to(self.directions.dtype)
        self.begun.fill_(True)
