"""Cosine: the student's vector of a text shall point where its teacher's does."""

from typing import TYPE_CHECKING, Literal

from retkd.objectives.vectors import ProjectedObjective

if TYPE_CHECKING:
    from torch import Tensor


class Cosine(ProjectedObjective):
    """:func:`retkd.losses.embedding.cosine_distance`: the second term of DCLIP, of DistilBERT's three the last."""

    kind: Literal["cosine"] = "cosine"

    def compare(self, student: "Tensor", teacher: "Tensor") -> "Tensor":
        """Mean over texts, from 0 to 2."""
        from retkd.losses.embedding import cosine_distance

        return cosine_distance(student, teacher)
