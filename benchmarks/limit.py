"""The limit: operations of a transformer over real tokens, and the rate of a large fp32 matmul."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from retkd.layers import layer_list

BACKWARD_AND_FORWARD = 3


@dataclass(frozen=True)
class Work:
    """Floating-point operations of one forward pass: of a token, of a squared token (attention), of a text (head).

    Only what a result needs: matmuls (2 per parameter and token; attention 4 x layers x dim x tokens^2). Padding,
    element-wise work, and recomputation count as nothing.
    """

    per_token: float
    per_squared_token: float
    per_text: float

    @classmethod
    def of(cls, transformer: nn.Module, head: bool = False) -> "Work":
        """Read off the model. ``head``: whether the linear maps outside the layers are used, once a text."""
        holder, name = layer_list(transformer)
        layers = getattr(holder, name)
        inside = set(linear_maps(layers))
        outside = [module for module in linear_maps(transformer) if module not in inside]
        dim = transformer.config.hidden_size
        return cls(
            per_token=2.0 * sum(module.weight.numel() for module in inside),
            per_squared_token=4.0 * len(layers) * dim,
            per_text=2.0 * sum(module.weight.numel() for module in outside) if head else 0.0,
        )

    def forward(self, lengths: Sequence[int] | np.ndarray) -> float:
        """GFLOP of texts of these lengths in tokens."""
        tokens = np.asarray(lengths, dtype=np.float64)
        squared = float((tokens**2).sum())
        return (
            self.per_token * float(tokens.sum()) + self.per_squared_token * squared + self.per_text * len(tokens)
        ) / 1e9

    def training(self, lengths: Sequence[int] | np.ndarray) -> float:
        """GFLOP of a forward and a backward pass: each matmul has two in its gradient."""
        return BACKWARD_AND_FORWARD * self.forward(lengths)


def matmul_gflop_per_second(size: int, times: int = 6) -> float:
    """Rate of ``size`` x ``size`` fp32 matmuls on the threads that torch uses, one warm-up apart."""
    left, right = torch.ones(size, size), torch.ones(size, size)
    product = torch.empty(size, size)
    torch.mm(left, right, out=product)
    began = time.perf_counter()
    for _ in range(times):
        torch.mm(left, right, out=product)
    return times * 2 * size**3 / (time.perf_counter() - began) / 1e9


def linear_maps(module: Any) -> list[nn.Linear]:
    """Every linear map of a module, in its order."""
    return [each for each in module.modules() if isinstance(each, nn.Linear)]
