"""How far the score profiles of a batch are from the teacher's, whichever query each belongs to."""

from jaxtyping import Bool, Float
from torch import Tensor

from retkd.losses.listwise import masked_log_softmax
from retkd.losses.plackett_luce import descending
from retkd.losses.transport import transport_plan


def sinkhorn_distance(
    student: Float[Tensor, "query cand"],
    teacher: Float[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    student_temperature: float,
    teacher_temperature: float,
    smoothing: float,
    num_iterations: int,
) -> Float[Tensor, ""]:
    """Mean over queries of the cost of carrying the student's distributions to the teacher's, between 0 and 2.

    Row a of the student and row b of the teacher cost the sum of |p_a - p_b|; the plan is exp(-cost / ``smoothing``), rows
    and columns brought to sum 1 in turn. Cui et al. 2024 (SinKD; code: ``loss.py``), where it is a sum over the batch. A
    class is the same in every row there; a candidate is not, so here both rows stand in the order of the query's own
    teacher, masked candidates last with a share of 0. Any teacher row will do for any query: the loss does not tell one
    from the other and is for company with one that does. The teacher is detached.
    """
    order = descending(teacher.detach(), mask)
    valid = mask.gather(1, order)
    own = masked_log_softmax(student.gather(1, order) / student_temperature, valid).exp()
    target = masked_log_softmax(teacher.detach().gather(1, order) / teacher_temperature, valid).exp()
    cost = (own.unsqueeze(1) - target.unsqueeze(0)).abs().sum(dim=2)
    return (transport_plan(cost, epsilon=smoothing, num_iterations=num_iterations) * cost).sum()
