"""Losses between two vectors of one text: the student's and its teacher's, of equal width."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def cosine_distance(student: Float[Tensor, "text dim"], teacher: Float[Tensor, "text dim"]) -> Float[Tensor, ""]:
    """Mean over texts of 1 - cos(student, teacher), from 0 to 2. Lengths do not count; the target is detached.

    DCLIP's cosine term; DistilBERT's, on sentences.
    """
    return (1 - functional.cosine_similarity(student, teacher.detach(), dim=1)).mean()


def vector_mse(student: Float[Tensor, "text dim"], teacher: Float[Tensor, "text dim"]) -> Float[Tensor, ""]:
    """Mean over texts and dimensions of (student - teacher)^2; the target is detached. CLIP-KD's feature distillation.

    Of unit vectors it is 2 (1 - cos) / dim: hence CLIP-KD's weight of 2000 for each side, 7.8125 (1 - cos) at width 512.
    """
    return functional.mse_loss(student, teacher.detach())


def vector_smooth_l1(student: Float[Tensor, "text dim"], teacher: Float[Tensor, "text dim"]) -> Float[Tensor, ""]:
    """Mean over texts and dimensions of e^2 / 2 where |e| < 1, else |e| - 1/2; the target is detached. V_kD, eq. 6."""
    return functional.smooth_l1_loss(student, teacher.detach())


def standardised_vectors(vectors: Float[Tensor, "text dim"]) -> Float[Tensor, "text dim"]:
    """Each vector at mean 0 and deviation 1 over its dimensions, of length sqrt(dim): layer norm without parameters."""
    return functional.layer_norm(vectors, vectors.shape[1:])


def mixed_distance(student: Float[Tensor, "text dim"], teacher: Float[Tensor, "text dim"]) -> Float[Tensor, "text"]:
    """For each text (1 - cos) / 2 + smooth L1 / 2, the latter a mean over dimensions; the target is detached. UNIC, eq. 1."""
    teacher = teacher.detach()
    cosine = 1 - functional.cosine_similarity(student, teacher, dim=1)
    return (cosine + functional.smooth_l1_loss(student, teacher, reduction="none").mean(dim=1)) / 2


def kept_teachers(
    losses: Float[Tensor, "text teacher"], draws: Float[Tensor, "text teacher"], probability: float
) -> Float[Tensor, "text teacher"]:
    """Coefficients of UNIC's teacher dropping: for each text they add up to 1 over the teachers that it keeps.

    The teacher with the greatest loss stays, each other is dropped where its draw (uniform in [0, 1)) is below
    ``probability``. At 0 all stay: a plain mean. Sariyildiz et al. 2024, section 3.3.
    """
    kept = draws >= probability
    kept = kept.scatter(1, losses.detach().argmax(dim=1, keepdim=True), True)
    return kept.to(losses.dtype) / kept.sum(dim=1, keepdim=True)
