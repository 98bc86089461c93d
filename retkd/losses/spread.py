"""How unit vectors lie on their sphere: pairs that belong together near, all others far from each other."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional


def alignment(
    queries: Float[Tensor, "query dim"], documents: Float[Tensor, "doc dim"], positive: Bool[Tensor, "query doc"]
) -> Float[Tensor, ""]:
    """Mean over positive pairs of |q - d|^2 between unit vectors, which is 2 - 2 cos. Wang & Isola 2020, eq. 3, alpha 2.

    Without a positive the loss is 0.
    """
    cosines = functional.normalize(queries, dim=1) @ functional.normalize(documents, dim=1).T
    return (2 - 2 * cosines[positive]).sum() / positive.sum().clamp(min=1)


def uniformity(vectors: Float[Tensor, "text dim"], *, temperature: float) -> Float[Tensor, ""]:
    """log of the mean over pairs of different texts of exp(-t |x - y|^2) between unit vectors, from -4 t to 0.

    A single text has no pair: 0. Wang & Isola 2020, eq. 5.
    """
    num_texts = vectors.shape[0]
    if num_texts < 2:
        return 0 * vectors.sum()
    unit = functional.normalize(vectors, dim=1)
    row, column = torch.triu_indices(num_texts, num_texts, offset=1, device=vectors.device)
    squared = (2 - 2 * unit @ unit.T)[row, column]
    return torch.logsumexp(-temperature * squared, dim=0) - math.log(len(row))
