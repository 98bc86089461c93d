"""LELP: the few classes of a label split into pseudo-subclasses along the directions in which the teacher's vectors differ."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from retkd.losses.listwise import kl


def subclass_logits(
    scores: Float[Tensor, "query cand"],
    features: Float[Tensor, "query cand direction"],
    *,
    temperature: float,
) -> Float[Tensor, "query cand subclass"]:
    """Log of each candidate's score shared out among two subclasses per direction, at +feature and at -feature.

    Each share is softmax over the 2 x direction subclasses of +-feature / temperature: the exponentials of a candidate's
    logits add up to exp(score), so summing subclass probabilities gives the class'. Without a direction there is one subclass,
    the class itself.
    """
    if features.shape[-1] == 0:
        return scores.unsqueeze(-1)
    both = torch.cat([features, -features], dim=-1) / temperature
    return scores.unsqueeze(-1) + torch.log_softmax(both, dim=-1)


def subclass_kl(
    student: Float[Tensor, "query cand subclass"],
    teacher: Float[Tensor, "query cand subclass"],
    mask: Bool[Tensor, "query cand"],
) -> Float[Tensor, ""]:
    """Mean over queries of the KL of the distributions over all subclasses of all valid candidates, in nats.

    With one subclass it is plain KL over the list. The target is detached. LELP (Loo et al. 2024), on lists.
    """
    wide = mask.unsqueeze(-1).expand_as(student).flatten(1)
    return kl(student.flatten(1), teacher.flatten(1), wide, student_temperature=1.0, teacher_temperature=1.0)
