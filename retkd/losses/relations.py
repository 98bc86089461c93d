"""Losses on relations between the tokens of texts: no width, head count or rotation has to be equal."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from retkd.losses.listwise import divergences, kl, masked_log_softmax
from retkd.losses.relation import others


def log_relations(
    states: Float[Tensor, "text token width"], mask: Bool[Tensor, "text token"], heads: int
) -> Float[Tensor, "text head token token"]:
    """Log-softmax over the valid tokens of X X^T / sqrt(d_r), X the states split anew into ``heads`` parts of width d_r.

    Minus infinity at padding columns; rows of padding hold no meaning.
    """
    text, token, width = states.shape
    parts = states.view(text, token, heads, width // heads).transpose(1, 2)
    products = parts @ parts.transpose(2, 3) / (width // heads) ** 0.5
    return masked_log_softmax(products, mask[:, None, None, :])


def relation_kl(
    student: Float[Tensor, "text token width"],
    teacher: Float[Tensor, "text token teacher_width"],
    mask: Bool[Tensor, "text token"],
    *,
    heads: int,
) -> Float[Tensor, "text"]:
    """By text, the mean over heads and valid tokens of KL(R_teacher || R_student), in nats. Teacher detached.

    Queries, keys or values of one layer each. Wang et al. 2021 (MiniLMv2), eq. 2-4.
    """
    target, own = (log_relations(states, mask, heads) for states in (teacher.detach(), student))
    rows = divergences(target, own, mask[:, None, None, :]).masked_fill(~mask[:, None, :], 0.0)
    return rows.sum(dim=(1, 2)) / (heads * mask.sum(dim=1).clamp(min=1))


def neighbour_kl(
    student: Float[Tensor, "node node"], teacher: Float[Tensor, "node node"], *, neighbours: int, temperature: float
) -> Float[Tensor, ""]:
    """Mean over tokens of the KL between the similarities to the teacher's nearest tokens, itself left out, in nats."""
    target = teacher.detach().masked_fill(~others(teacher), -torch.inf)
    nearest = target.topk(min(neighbours, len(teacher) - 1), dim=1).indices
    scores = student.gather(1, nearest), target.gather(1, nearest)
    every = torch.ones_like(nearest, dtype=torch.bool)
    return kl(*scores, every, student_temperature=temperature, teacher_temperature=temperature)


def profile_contrast(
    student: Float[Tensor, "node node"], teacher: Float[Tensor, "node node"], *, temperature: float
) -> Float[Tensor, ""]:
    """Mean over tokens of InfoNCE: a token's similarities to all tokens find the teacher's for that token, in nats."""
    own, other = (torch.nn.functional.normalize(each, dim=1) for each in (student, teacher.detach()))
    return -torch.log_softmax(own @ other.T / temperature, dim=1).diagonal().mean()


def context_kl(
    student: Float[Tensor, "node node"],
    teacher: Float[Tensor, "node node"],
    text_of: Int[Tensor, "node"],
    *,
    temperature: float,
) -> Float[Tensor, ""]:
    """Mean over tokens of the KL between the similarities to the other tokens of the same text, in nats.

    A token without others is left out.
    """
    inside = (text_of[:, None] == text_of[None, :]) & others(teacher)
    rows = inside.any(dim=1)
    if not rows.any():
        return student.sum() * 0.0
    scores = student[rows], teacher[rows]
    return kl(*scores, inside[rows], student_temperature=temperature, teacher_temperature=temperature)
