"""What terms that compare the student's vectors with an encoder's have: sides, a projector, a length."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.base import Objective, Training
from retkd.objectives.projectors import Normaliser, Projector, normalised, projector, required_dim, scaled
from retkd.parts import Encoder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from retkd.batch import ScoredBatch

Sides = Literal["queries", "documents", "both"]


def of_sides(sides: Sides) -> tuple[str, ...]:
    """Names of the vectors of a batch.

    >>> of_sides("both"), of_sides("queries")
    (('queries', 'documents'), ('queries',))
    """
    return ("queries", "documents") if sides == "both" else (sides,)


class VectorObjective(Objective):
    """A term that compares the student's vectors of a batch with the same texts' by ``model``."""

    model: Encoder
    sides: Sides = Field(default="both", description="whose vectors are compared; both: the mean of the two losses")

    @property
    def reads_vectors(self) -> bool:
        """Always."""
        return True

    def bind(self, training: Training) -> "Callable[[ScoredBatch], Tensor]":
        """The term around its parts. Raises :class:`ModelError` where the student has no vectors."""
        from retkd.objectives.bound import Bound

        required_dim(training.student_dim, self.kind)  # type: ignore[attr-defined]
        return Bound(self.parts(training), self.mean_of_sides)

    def parts(self, training: Training) -> "dict[str, nn.Module]":
        """What is trained with the student and left behind."""
        return {}

    def mean_of_sides(self, scored: "ScoredBatch", parts: "Mapping[str, nn.Module]") -> "Tensor":
        """The mean of :meth:`side_loss` over the sides."""
        import torch

        pairs = [vectors(scored, side, self.model) for side in of_sides(self.sides)]
        return torch.stack([self.side_loss(student, teacher, parts) for student, teacher in pairs]).mean()

    def side_loss(self, student: "Tensor", teacher: "Tensor", parts: "Mapping[str, nn.Module]") -> "Tensor":
        """The loss of the vectors of one side, ``[text, student_dim]`` and ``[text, teacher_dim]``."""
        raise NotImplementedError


class ProjectedObjective(VectorObjective):
    """A term that compares vectors of one width: the student's come through a projector, the same for both sides."""

    projector: Projector = Field(default="none", description="from the student's width to the teacher's")

    def parts(self, training: Training) -> "dict[str, nn.Module]":
        """The projector."""
        kind: str = self.kind  # type: ignore[attr-defined]
        dim = training.teacher_dims[self.model]
        return {"projector": projector(self.projector, training.student_dim, dim, kind)}

    def side_loss(self, student: "Tensor", teacher: "Tensor", parts: "Mapping[str, nn.Module]") -> "Tensor":
        """That of the projected vectors."""
        return self.compare(parts["projector"](student), teacher)

    def compare(self, student: "Tensor", teacher: "Tensor") -> "Tensor":
        """The loss of the projected student's vectors of one side, both ``[text, teacher_dim]``."""
        raise NotImplementedError


class NormalisedObjective(ProjectedObjective):
    """A term that compares vectors of one length."""

    normaliser: Normaliser = Field(
        default="l2",
        description="l2: unit length; layer_norm: the teacher's at mean 0 and deviation 1, the student's as long",
    )

    def brought(self, student: "Tensor", teacher: "Tensor") -> "tuple[Tensor, Tensor]":
        """Both at the length that the normaliser gives."""
        return scaled(student, self.normaliser), normalised(teacher, self.normaliser)


def vectors(scored: "ScoredBatch", side: str, model: str) -> "tuple[Tensor, Tensor]":
    """The student's and the teacher's vectors of the queries or of the documents of a batch."""
    student, teacher = getattr(scored, side), getattr(scored.batch, f"teacher_{side}")[model]
    return student, teacher.to(student.dtype)
