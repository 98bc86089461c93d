"""Feature mimicry: the student's vectors copy the teacher's."""

from typing import TYPE_CHECKING, Literal

from retkd.objectives.vectors import NormalisedObjective

if TYPE_CHECKING:
    from torch import Tensor


class VectorMSE(NormalisedObjective):
    """:func:`retkd.losses.embedding.vector_mse`: CLIP-KD's feature distillation (Yang et al. 2024).

    CLIP-KD adds its two sides with a weight of 2000 each, over the mean of texts and dimensions: weight 4000 here, where
    `both` is a mean. At width 384 that is 10.4 times `cosine` for each side.
    """

    kind: Literal["vector_mse"] = "vector_mse"

    def compare(self, student: "Tensor", teacher: "Tensor") -> "Tensor":
        """Mean over texts and dimensions."""
        from retkd.losses.embedding import vector_mse

        return vector_mse(*self.brought(student, teacher))
