"""WCoRD: contrastive representation distillation with a critic of bounded slope, and transport between whole batches."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from retkd.objectives.base import Training
from retkd.objectives.projectors import required_dim
from retkd.objectives.vectors import ProjectedObjective

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn


class WCoRD(ProjectedObjective):
    """``dual`` x :func:`retkd.losses.mutual_information.information_loss` + ``primal`` x
    :func:`retkd.losses.transport.transport_cost` (Chen et al. 2021).

    Dual: the critic is the inner product, over ``temperature``, of both vectors through matrices of spectral norm 1 at most.
    Primal: Sinkhorn between the projected student's batch and the teacher's. The abstract alone was read: widths, the
    temperature and the weights are ours.
    """

    kind: Literal["wcord"] = "wcord"
    critic_dim: int = Field(default=128, ge=1)
    temperature: float = Field(default=0.1, gt=0.0)
    dual: float = Field(default=1.0, ge=0.0, description="weight of the contrastive part")
    primal: float = Field(default=1.0, ge=0.0, description="weight of the transport")
    epsilon: float = Field(default=0.05, gt=0.0, description="entropy of the transport plan; costs are 2 at most")
    num_iterations: int = Field(default=20, ge=1)

    @model_validator(mode="after")
    def _something(self) -> "WCoRD":
        if not self.dual + self.primal:
            raise ValueError("dual and primal are both 0: give one of them a weight")
        return self

    def parts(self, training: Training) -> "dict[str, nn.Module]":
        """The projector and the two matrices of the critic."""
        student_dim, teacher_dim = required_dim(training.student_dim, self.kind), training.teacher_dims[self.model]
        critic = {
            "student": lipschitz(student_dim, self.critic_dim),
            "teacher": lipschitz(teacher_dim, self.critic_dim),
        }
        return super().parts(training) | critic

    def side_loss(self, student: "Tensor", teacher: "Tensor", parts: "Mapping[str, nn.Module]") -> "Tensor":
        """The weighted sum of the two parts."""
        from retkd.losses.mutual_information import information_loss
        from retkd.losses.transport import transport_cost

        critic = parts["student"](student) @ parts["teacher"](teacher).T / self.temperature
        moved = transport_cost(
            parts["projector"](student), teacher, epsilon=self.epsilon, num_iterations=self.num_iterations
        )
        return self.dual * information_loss(critic) + self.primal * moved


def lipschitz(dim: int, critic_dim: int) -> "nn.Module":
    """A linear map that lengthens no vector: its matrix over its spectral norm, followed by power iteration."""
    from torch import nn
    from torch.nn.utils import parametrizations

    return parametrizations.spectral_norm(nn.Linear(dim, critic_dim, bias=False))
