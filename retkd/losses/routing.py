"""How the losses of several teachers become one: weights per query, a gate over the best few, a policy that draws them."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from retkd.losses.listwise import divergences, masked_log_softmax


def teacher_divergences(
    student: Float[Tensor, "query cand"],
    teachers: Float[Tensor, "teacher query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    student_temperature: float,
    teacher_temperature: float,
) -> Float[Tensor, "query teacher"]:
    """KL(softmax(teacher / T_t) || softmax(student / T_s)) of each query and teacher, in nats; teachers are detached."""
    own = masked_log_softmax(student / student_temperature, mask)
    targets = [masked_log_softmax(scores / teacher_temperature, mask) for scores in teachers.detach()]
    return torch.stack([divergences(target, own, mask) for target in targets], dim=1)


def sureness(scores: Float[Tensor, "list cand"], mask: Bool[Tensor, "list cand"]) -> Float[Tensor, "list"]:
    """1 - H / log n of each list's softmax over its n valid candidates, from 0 (flat) to 1 (all on one); 0 for a list of one."""
    log_shares = masked_log_softmax(scores, mask).masked_fill(~mask, 0.0)
    entropy = -torch.where(mask, log_shares.exp() * log_shares, 0.0).sum(dim=1)
    highest = mask.sum(dim=1).to(scores.dtype).log()
    return torch.where(highest > 0, 1.0 - entropy / highest.clamp(min=1e-9), 0.0)


def lead(scores: Float[Tensor, "list cand"], mask: Bool[Tensor, "list cand"]) -> Float[Tensor, "list"]:
    """The highest minus the second highest valid score of each list; 0 for a list of one."""
    if scores.shape[1] < 2:
        return scores.new_zeros(len(scores))
    best = scores.masked_fill(~mask, -torch.inf).topk(2, dim=1).values
    return torch.where(mask.sum(dim=1) > 1, best[:, 0] - best[:, 1], 0.0)


def routed(
    values: Float[Tensor, "query teacher"], gate: Float[Tensor, "query teacher"], *, top_k: int, weighted: bool
) -> Float[Tensor, ""]:
    """Mean over queries of the values of the ``top_k`` teachers with the highest gate, equals in their order.

    ``weighted``: by the gate's shares among them, so that the gate learns; else alike, so that it has no gradient from here,
    as in MST-Distill's code. All teachers, alike, is the plain mean.
    """
    picked = torch.zeros_like(gate, dtype=torch.bool)
    picked.scatter_(1, torch.sort(gate.detach(), dim=1, descending=True, stable=True).indices[:, :top_k], True)
    shares = torch.where(picked, gate if weighted else torch.ones_like(gate), 0.0)
    return (shares / shares.sum(dim=1, keepdim=True) * values).sum(dim=1).mean()


def imbalance(gate: Float[Tensor, "query teacher"]) -> Float[Tensor, ""]:
    """KL(uniform || mean gate over the queries), in nats: 0 where every teacher is used alike. MST-Distill's load balance."""
    mean = gate.mean(dim=0)
    return -(mean.log().mean() + math.log(len(mean)))


def drawn_teachers(
    chance: Float[Tensor, "query teacher"], numbers: Float[Tensor, "query teacher"]
) -> tuple[Bool[Tensor, "query teacher"], Bool[Tensor, "query teacher"]]:
    """(what the numbers draw, what is used): teacher k where number < chance; the likeliest where a query drew none."""
    drawn = numbers < chance
    likeliest = torch.zeros_like(drawn).scatter_(1, chance.detach().argmax(dim=1, keepdim=True), True)
    return drawn, torch.where(drawn.any(dim=1, keepdim=True), drawn, likeliest)


def reinforced(
    values: Float[Tensor, "query teacher"],
    logits: Float[Tensor, "query teacher"],
    drawn: Bool[Tensor, "query teacher"],
    used: Bool[Tensor, "query teacher"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """(mean over queries of the used teachers' mean value, the policy's loss by REINFORCE).

    The reward of a query is minus its value; the baseline is the mean reward of the batch's other queries, so it does
    not depend on the query's own draw and leaves the gradient unbiased. Alone in a batch, a query moves nothing.
    Williams 1992; Yuan et al. 2021 (Reinforced Multi-Teacher Selection), whose baseline is a mean over episodes.
    """
    per_query = torch.where(used, values, 0.0).sum(dim=1) / used.sum(dim=1)
    reward, count = -per_query.detach(), len(per_query)
    others = (reward.sum() - reward) / max(count - 1, 1)
    gain = reward - others if count > 1 else torch.zeros_like(reward)
    chances = torch.where(drawn, torch.nn.functional.logsigmoid(logits), torch.nn.functional.logsigmoid(-logits))
    return per_query.mean(), -(gain * chances.sum(dim=1)).mean()
