"""A target on the way from the student's own scores to the teacher's."""

from jaxtyping import Bool, Float
from torch import Tensor

from retkd.losses.listwise import kl


def interpolated_kl(
    student: Float[Tensor, "query cand"],
    teacher: Float[Tensor, "query cand"],
    mask: Bool[Tensor, "query cand"],
    *,
    share: float | Float[Tensor, ""],
    student_temperature: float,
    teacher_temperature: float,
) -> Float[Tensor, ""]:
    """Mean over queries of KL(p || student), p = softmax((1 - share) s / T_s + share t / T_t), in nats. TAID's target.

    At share 0 value and gradient are zero, at 1 it is :func:`retkd.losses.listwise.kl`. The scores are mixed as logits, so
    both should have a like spread once divided. The whole target is detached. Shing et al. 2025 (code: ``taid.py``).
    """
    logits = student / student_temperature
    target = (1 - share) * logits.detach() + share * teacher.detach() / teacher_temperature
    return kl(logits, target, mask, student_temperature=1.0, teacher_temperature=1.0)
