"""Cross-entropy whose target leans to the judged positive."""

from jaxtyping import Bool, Float
from torch import Tensor

from retkd.losses.listwise import masked_log_softmax, soft_cross_entropy


def adaptive_cross_entropy(
    student: Float[Tensor, "query cand"],
    teacher: Float[Tensor, "query cand"],
    positive: Bool[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    epsilon: float,
    student_temperature: float,
    teacher_temperature: float,
) -> Float[Tensor, ""]:
    """Mean over queries of -sum_c ((p_c + y_c)^epsilon - y_c) log student_c, in nats; p the teacher, y 1 at positives.

    ``epsilon`` 1 is the soft cross-entropy (ListNet). Above it a positive weighs more the surer the teacher is of it, and
    what the teacher doubts weighs less; the weights then no longer sum to 1. The target is detached. OFA-KD, Hao et al.
    2023 (code: ``ofa.py``).
    """
    share = masked_log_softmax(teacher.detach() / teacher_temperature, mask).exp()
    label = (positive & mask).to(share.dtype)
    weights = (share + label) ** epsilon - label
    return soft_cross_entropy(student, weights, mask, student_temperature=student_temperature)
