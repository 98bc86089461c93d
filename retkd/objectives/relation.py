"""Relation: texts that are alike to the teacher shall be as alike to the student."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.vectors import VectorObjective

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn


class Relation(VectorObjective):
    """Similarities of queries with queries and of documents with documents; `in_batch_kl` has those between the two.

    ``kl``: of each text's distribution over the others, as CLIP-KD relates images and captions. ``mse``: of the cosines
    themselves (:func:`retkd.losses.relation.gram_mse`). A rotation of either space changes nothing, so widths may differ.
    """

    kind: Literal["relation"] = "relation"
    compared: Literal["kl", "mse"] = "kl"
    temperature: float = Field(default=0.05, gt=0.0, description="of kl: both sides'")

    def side_loss(self, student: "Tensor", teacher: "Tensor", parts: "Mapping[str, nn.Module]") -> "Tensor":
        """Mean over texts, in nats; or over pairs of texts, in squared cosines."""
        from retkd.losses.listwise import kl
        from retkd.losses.relation import gram, gram_mse, others

        if self.compared == "mse" or len(student) < 2:
            return gram_mse(student, teacher)
        own = gram(student)
        return kl(
            own,
            gram(teacher),
            others(own),
            student_temperature=self.temperature,
            teacher_temperature=self.temperature,
        )
