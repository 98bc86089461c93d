"""UNIC: several encoders teach one student, each through its own projector, and none of them each time."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from retkd.objectives.base import Objective, Training
from retkd.objectives.projectors import projector
from retkd.objectives.vectors import Sides, of_sides, vectors
from retkd.parts import Encoder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from retkd.batch import ScoredBatch


class UNIC(Objective):
    """:func:`retkd.losses.embedding.mixed_distance` to each teacher's vectors, standardised dimension by dimension with
    running statistics, weighed by :func:`retkd.losses.embedding.kept_teachers` (Sariyildiz et al. 2024).

    The ladder has one step here, from the student's vector; UNIC's has one more from each block.
    """

    REVISION: ClassVar[int] = 2  # the same draws on any number of processes

    kind: Literal["unic"] = "unic"
    models: list[Encoder] = Field(min_length=1, description="the encoders that teach")
    sides: Sides = Field(default="both", description="whose vectors are compared; both: the mean of the two losses")
    projector: Literal["linear", "ladder"] = "ladder"
    drop: float = Field(
        default=0.5, ge=0.0, lt=1.0, description="chance of each teacher of a text but the one that it is furthest from"
    )
    momentum: float = Field(default=0.1, gt=0.0, le=1.0, description="of a new batch in the running statistics")

    @field_validator("models")
    @classmethod
    def _different(cls, models: list[str]) -> list[str]:
        twice = [model for model in models if models.count(model) > 1]
        if twice:
            raise ValueError(f"the model {twice[0]} stands twice")
        return models

    @property
    def reads_vectors(self) -> bool:
        """Always."""
        return True

    @property
    def encoders(self) -> tuple[str, ...]:
        """All that teach."""
        return tuple(self.models)

    def bind(self, training: Training) -> "Callable[[ScoredBatch], Tensor]":
        """The term around a projector and the statistics of each side for every teacher."""
        from retkd.objectives.bound import Bound
        from retkd.objectives.lots import Lots
        from retkd.objectives.statistics import Standardise

        parts: dict[str, nn.Module] = {"lots": Lots(training.seed)}
        for place, model in enumerate(self.models):
            dim = training.teacher_dims[model]
            parts[f"projector_{place}"] = projector(self.projector, training.student_dim, dim, self.kind)
            for side in of_sides(self.sides):
                parts[f"{side}_{place}"] = Standardise(dim, self.momentum)
        return Bound(parts, self._mean_of_sides)

    def _mean_of_sides(self, scored: "ScoredBatch", parts: "Mapping[str, nn.Module]") -> "Tensor":
        import torch

        return torch.stack([self._of_side(scored, side, parts) for side in of_sides(self.sides)]).mean()

    def _of_side(self, scored: "ScoredBatch", side: str, parts: "Mapping[str, nn.Module]") -> "Tensor":
        import torch

        from retkd.losses.embedding import kept_teachers, mixed_distance

        columns = []
        for place, model in enumerate(self.models):
            student, teacher = vectors(scored, side, model)
            target = parts[f"{side}_{place}"](teacher)
            columns.append(mixed_distance(parts[f"projector_{place}"](student), target))
        losses = torch.stack(columns, dim=1)
        with parts["lots"]():
            draws = torch.rand(losses.shape).to(losses.device)
        return (kept_teachers(losses, draws, self.drop) * losses).sum(dim=1).mean()
