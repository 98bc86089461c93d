"""Affinities between the queries and the documents of a batch, looked at from both sides."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from retkd.losses.listwise import masked_log_softmax, soft_cross_entropy


def affinity_mimicking(
    student: Float[Tensor, "query doc"],
    teacher: Float[Tensor, "query doc"],
    back: Bool[Tensor, "doc"],
    *,
    student_temperature: float,
    teacher_temperature: float,
) -> Float[Tensor, ""]:
    """Half the soft cross-entropy over each query's documents, half that over each document's queries, in nats.

    ``back`` marks the documents that look back at the queries; without any that half is 0. At the teacher's own scores the
    gradient is zero, the value is the teacher's entropy. A document that is relevant to several queries has a share for
    each in the target: nothing is taken for a negative. The teacher is detached. Wu et al. 2023 (TinyCLIP; code:
    ``clip_soft_loss.py``).
    """

    def cross_entropy(own: Float[Tensor, "one other"], target: Float[Tensor, "one other"]) -> Float[Tensor, ""]:
        mask = torch.ones_like(own, dtype=torch.bool)
        weights = masked_log_softmax(target.detach() / teacher_temperature, mask).exp()
        return soft_cross_entropy(own, weights, mask, student_temperature=student_temperature)

    there = cross_entropy(student, teacher)
    if not back.any():
        return there / 2
    return (there + cross_entropy(student[:, back].T, teacher[:, back].T)) / 2
