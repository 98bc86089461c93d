"""What keeps term weights sparse."""

from jaxtyping import Float
from torch import Tensor


def flops(weights: Float[Tensor, "text vocab"]) -> Float[Tensor, ""]:
    """Sum over the terms of the squared mean of their absolute weights.

    It presses hardest on terms that many texts have, and so evens out the postings. Paria et al. 2020 (arXiv 2004.05665),
    eq. 4; SPLADE.
    """
    return weights.abs().mean(dim=0).square().sum()


def l1(weights: Float[Tensor, "text vocab"]) -> Float[Tensor, ""]:
    """Mean over the texts of the sum of their absolute weights."""
    return weights.abs().sum(dim=1).mean()


def quadratic_ramp(step: float, ramp_steps: int) -> float:
    """The share of a regulariser's weight at a step: (step / (T + 1))^2, and 1 from step T + 1 on. Formal et al. 2021.

    >>> [quadratic_ramp(step, 3) for step in (0, 2, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """
    return float(min(1.0, (step / (ramp_steps + 1)) ** 2))
