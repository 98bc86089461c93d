"""Score lists for loss tests, and what every loss of lists must do with what is masked."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

GARBAGE = [0.0, 1e30, -1e30, math.inf, -math.inf, math.nan]
"""What may stand where the mask is False."""

STUDENT, TEACHER = [2.0, 1.0, 0.0], [3.0, 1.0, 2.0]
"""The list of METHODS.md, sections 0.2 and 1.18, with values computed in double precision."""


def example(scores: list[float]) -> Tensor:
    """One list as a ``[query, cand]`` tensor."""
    return torch.tensor([scores], dtype=torch.float64)


class Lists(NamedTuple):
    """Ragged lists, all ``[query, cand]``; in each, the first valid candidate and every third are positive."""

    student: Tensor
    teacher: Tensor
    positive: Tensor
    mask: Tensor


def ragged(seed: int, num_queries: int = 4, num_cands: int = 6) -> Lists:
    """Random lists with two to ``num_cands`` valid candidates at random places."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = 3 * torch.randn((2, num_queries, num_cands), generator=generator, dtype=torch.float64)
    mask = torch.zeros((num_queries, num_cands), dtype=torch.bool)
    positive = torch.zeros_like(mask)
    for query in range(num_queries):
        width = int(torch.randint(2, num_cands + 1, (1,), generator=generator))
        valid = torch.randperm(num_cands, generator=generator)[:width]
        mask[query, valid] = True
        positive[query, valid[::3]] = True
    assert not mask.all()
    return Lists(student, teacher, positive, mask)


def gradient(loss: Callable[[Tensor], Tensor], scores: Tensor) -> Tensor:
    """d loss / d scores."""
    scores = scores.clone().requires_grad_(True)
    (found,) = torch.autograd.grad(loss(scores), scores)
    return found


def assert_ignored(loss: Callable[[Tensor], Tensor], scores: Tensor, kept: Tensor, fill: float) -> None:
    """Where ``kept`` is False, ``fill`` changes neither the value nor any gradient, and gets none itself."""
    filled = scores.masked_fill(~kept, fill)
    assert loss(filled).item() == loss(scores).item()
    found = gradient(loss, filled)
    assert torch.isfinite(found).all()
    assert torch.equal(found, gradient(loss, scores))
    assert (found[~kept] == 0).all()
    assert (found[kept] != 0).any()


def shuffled(lists: Lists, seed: int) -> Lists:
    """The same lists with their candidates in another order."""
    order = torch.randperm(lists.mask.shape[1], generator=torch.Generator().manual_seed(seed))
    return Lists(*(tensor[:, order] for tensor in lists))
