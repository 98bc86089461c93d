"""CRD: of all texts of a batch, the student's vector shall know its own teacher's."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.vectors import ProjectedObjective

if TYPE_CHECKING:
    from torch import Tensor


class CRD(ProjectedObjective):
    """:func:`retkd.losses.mutual_information.information_loss` of cosines over ``temperature``: minus a bound, so below 0.

    Tian et al. 2020 at ``alpha`` 1, with the batch for the paper's memory of negatives; below 1, Distiller's MI-alpha.
    """

    kind: Literal["crd"] = "crd"
    temperature: float = Field(default=0.1, gt=0.0)
    alpha: float = Field(default=1.0, ge=0.0, le=1.0, description="1: InfoNCE; towards 0: less bias and more variance")

    def compare(self, student: "Tensor", teacher: "Tensor") -> "Tensor":
        """In nats, at least -log of the number of texts where alpha is 1."""
        from torch.nn import functional

        from retkd.losses.mutual_information import information_loss

        cosines = functional.normalize(student, dim=1) @ functional.normalize(teacher, dim=1).T
        return information_loss(cosines / self.temperature, alpha=self.alpha)
