"""V_kD: an orthogonal projection of the student's vectors onto the teacher's, standardised."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.projectors import Normaliser, Projector
from retkd.objectives.vectors import NormalisedObjective

if TYPE_CHECKING:
    from torch import Tensor


class VKD(NormalisedObjective):
    """:func:`retkd.losses.embedding.vector_smooth_l1` (Miles et al. 2024): the projection keeps all inner products, so that
    it cannot do the student's work.

    The student's vectors are brought to the length of the teacher's standardised ones, sqrt(dim): those of a retrieval student
    are of unit length, and V_kD's pooled features are not.
    """

    kind: Literal["vkd"] = "vkd"
    projector: Projector = Field(default="orthogonal", description="from the student's width to the teacher's")
    normaliser: Normaliser = Field(
        default="layer_norm",
        description="layer_norm, as published; l2 leaves the teacher's mean in, and so its cosines",
    )

    def compare(self, student: "Tensor", teacher: "Tensor") -> "Tensor":
        """Mean over texts and dimensions."""
        from retkd.losses.embedding import vector_smooth_l1

        return vector_smooth_l1(*self.brought(student, teacher))
