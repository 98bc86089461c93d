"""How sure a teacher is of a list, how far the student agrees, and what the list then weighs."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from retkd.losses.listwise import divergences, masked_log_softmax


def agreement_weights(
    student: Float[Tensor, "query cand"],
    teacher: Float[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    student_temperature: float,
    teacher_temperature: float,
    sharpness: float,
) -> Float[Tensor, "query"]:
    """Weights with mean 1, proportional to exp(sharpness (c + 4 a (1 - a))), without gradient.

    c is 1 minus the teacher's entropy over its highest, log n; a is 1 minus the Jensen-Shannon divergence over its highest,
    log 2. So a list counts most where the teacher is sure and the student half agrees: it learns nothing from what it knows,
    and noise from what is far. Uniform predictions give all lists 1. Selection by teacher and student together is that of
    KD^3 (Tang et al. 2023); the abstract gives no formula, and this one is ours.
    """
    log_t = masked_log_softmax(teacher.detach() / teacher_temperature, mask)
    log_s = masked_log_softmax(student.detach() / student_temperature, mask)
    valid = log_t.masked_fill(~mask, 0.0)
    entropy = -(valid.exp() * valid).masked_fill(~mask, 0.0).sum(dim=1)
    highest = mask.sum(dim=1).to(entropy.dtype).log()
    sure = torch.where(highest > 0, 1 - entropy / highest.clamp(min=1e-9), 0.0)
    agree = 1 - divergences(log_t, log_s, mask, "jensen_shannon") / math.log(2)
    return mask.shape[0] * torch.softmax(sharpness * (sure + 4 * agree * (1 - agree)), dim=0)
