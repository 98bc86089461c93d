"""How sure a teacher is of a list, how far the student agrees, and what the list then weighs."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from retkd.losses.listwise import divergences, masked_log_softmax
from retkd.losses.routing import sureness


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
    target, own = teacher.detach() / teacher_temperature, student.detach() / student_temperature
    apart = divergences(masked_log_softmax(target, mask), masked_log_softmax(own, mask), mask, "jensen_shannon")
    sure, agree = sureness(target, mask), 1 - apart / math.log(2)
    return mask.shape[0] * torch.softmax(sharpness * (sure + 4 * agree * (1 - agree)), dim=0)
