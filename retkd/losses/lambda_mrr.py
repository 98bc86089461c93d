"""Lambda loss on the reciprocal rank: pairs weigh by what swapping them changes at the top."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus


def lambda_mrr(
    student: Float[Tensor, "query cand"],
    teacher: Float[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
) -> Float[Tensor, ""]:
    """Mean over valid pairs with y_i > y_j of |1 / rank_i - 1 / rank_j| softplus(-(s_i - s_j)).

    Ranks are the student's own, from 1, equal scores by position, and without gradient. Of the teacher only the order is
    read. Every pair of the batch weighs the same, so long lists weigh more; without pairs the loss is 0. As in the code
    of CL-DRD, Zeng et al. 2022.
    """
    scores = student.masked_fill(~mask, -torch.inf)
    order = scores.detach().argsort(dim=1, descending=True, stable=True)
    ranks = order.argsort(dim=1) + 1
    gains = 1.0 / ranks.to(student.dtype)
    better = teacher.detach().unsqueeze(2) > teacher.detach().unsqueeze(1)
    pairs = better & mask.unsqueeze(2) & mask.unsqueeze(1)
    valid = student.masked_fill(~mask, 0.0)
    terms = softplus(valid.unsqueeze(1) - valid.unsqueeze(2)) * (gains.unsqueeze(2) - gains.unsqueeze(1)).abs()
    return terms[pairs].sum() / pairs.sum().clamp(min=1)
