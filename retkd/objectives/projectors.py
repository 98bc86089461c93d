"""Modules between a student's vectors and its teacher's: trained with the student, left behind when it is published."""

from typing import TYPE_CHECKING, Literal

from retkd.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear, Module

Projector = Literal["none", "linear", "orthogonal", "ladder"]
Normaliser = Literal["l2", "layer_norm"]

HIDDEN = 3072
"""Width of a ladder's last step, as in UNIC."""


def projector(kind: Projector, student_dim: int | None, teacher_dim: int, term: str) -> "Module":
    """``[text, student_dim]`` to ``[text, teacher_dim]``.

    ``linear`` and ``orthogonal`` begin as the identity, cut or padded with zeros, so that a student made of its teacher's
    layers begins where it stands. ``orthogonal`` keeps inner products where the student is not wider than the teacher
    (W^T W = I, V_kD), and never lengthens a vector. ``ladder``: a perceptron with one hidden layer (UNIC's last step).

    Raises :class:`ModelError` where the student has no vectors, or where nothing bridges two widths.
    """
    from torch import nn

    student_dim = required_dim(student_dim, term)
    if kind == "none":
        if student_dim != teacher_dim:
            raise _widths(student_dim, teacher_dim, term)
        return nn.Identity()
    if kind == "ladder":
        return perceptron(student_dim, teacher_dim)
    linear = nn.Linear(student_dim, teacher_dim, bias=False)
    nn.init.eye_(linear.weight)
    return orthogonal(linear) if kind == "orthogonal" else linear


def perceptron(width: int, teacher_dim: int, hidden: int = HIDDEN) -> "Module":
    """One hidden layer."""
    from torch import nn

    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, teacher_dim))


def orthogonal(linear: "Linear") -> "Module":
    """The map with its matrix held orthogonal by Cayley's transform of what is trained.

    Not by torch's Householder transform, which reads signs off weights that weight decay shrinks: they would become 0.
    """
    from torch.nn.utils import parametrizations

    made = parametrizations.orthogonal(linear, orthogonal_map="cayley")
    for transform in made.parametrizations.weight:  # type: ignore[union-attr]
        transform.base = transform.base.contiguous()  # type: ignore[union-attr,operator] # else it cannot be saved
    return made


def normalised(vectors: "Tensor", normaliser: Normaliser) -> "Tensor":
    """The teacher's side: ``l2``, unit length; ``layer_norm``, mean 0 and deviation 1 over the dimensions (V_kD)."""
    from torch.nn import functional

    from retkd.losses.embedding import standardised_vectors

    return functional.normalize(vectors, dim=1) if normaliser == "l2" else standardised_vectors(vectors)


def scaled(vectors: "Tensor", normaliser: Normaliser) -> "Tensor":
    """The student's side: as long as :func:`normalised` makes its teacher's, but never centred, which would change cosines."""
    from torch.nn import functional

    length = 1.0 if normaliser == "l2" else vectors.shape[1] ** 0.5
    return length * functional.normalize(vectors, dim=1)


def required_dim(student_dim: int | None, term: str) -> int:
    """The student's width. Raises :class:`ModelError` where it has none."""
    if student_dim is None:
        raise ModelError(
            f"the objective {term!r} reads vectors, and this student has none of one width",
            where="objective",
            next_step="choose a dense student, or an objective of scores such as kl",
        )
    return student_dim


def _widths(student_dim: int, teacher_dim: int, term: str) -> ModelError:
    return ModelError(
        f"the objective {term!r} compares vectors of two widths without a projector",
        where="objective",
        seen=f"the student's {student_dim}, the teacher's {teacher_dim}",
        allowed="equal widths, or a projector: linear, orthogonal, ladder",
        next_step="set `projector: orthogonal`, which keeps the student's cosines, or `linear`",
    )
