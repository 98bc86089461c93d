"""UNIC: several encoders teach one student, each through its own projector, and none of them each time."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from retkd.objectives.base import Objective, Training
from retkd.objectives.projectors import projector, required_dim
from retkd.objectives.vectors import Sides, of_sides, vectors
from retkd.parts import Encoder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from retkd.batch import ScoredBatch
    from retkd.training.layer_term import LayerTerm, Pass
    from retkd.training.states import Reads


class UNIC(Objective):
    """:func:`retkd.losses.embedding.mixed_distance` to each teacher's vectors, standardised dimension by dimension with
    running statistics, weighed by :func:`retkd.losses.embedding.kept_teachers` (Sariyildiz et al. 2024).

    With ``blocks`` the ladder is the paper's: it reads the mean over the tokens of each block, too. Without, it has its last
    step alone, from the student's vector, and goes with GradCache and several processes.
    """

    LATER: ClassVar[tuple[str, ...]] = ("blocks",)

    REVISION: ClassVar[int] = 2  # the same draws on any number of processes

    kind: Literal["unic"] = "unic"
    models: list[Encoder] = Field(min_length=1, description="the encoders that teach")
    sides: Sides = Field(default="both", description="whose vectors are compared; both: the mean of the two losses")
    projector: Literal["linear", "ladder"] = "ladder"
    blocks: bool = Field(default=False, description="a step of the ladder from each block but the last, too")
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

    @model_validator(mode="after")
    def _ladder_of_blocks(self) -> "UNIC":
        if self.blocks and self.projector != "ladder":
            raise ValueError("`blocks` are steps of a ladder: set `projector: ladder`, or leave `blocks` out")
        return self

    @property
    def reads_vectors(self) -> bool:
        """Always."""
        return True

    @property
    def reads_layers(self) -> bool:
        """The student's own, where the ladder has a step from each."""
        return self.blocks

    @property
    def encoders(self) -> tuple[str, ...]:
        """All that teach."""
        return tuple(self.models)

    def bind(self, training: Training) -> "Callable[[ScoredBatch], Tensor]":
        """The term around a projector and the statistics of each side for every teacher."""
        if self.blocks:
            from retkd.training.layer_term import LayerTerm

            return LayerTerm(self, training)
        from retkd.objectives.bound import Bound

        return Bound(self._parts(training), self._mean_of_sides)

    def _parts(self, training: Training) -> "dict[str, nn.Module]":
        from retkd.objectives.lots import Lots
        from retkd.objectives.statistics import Standardise

        parts: dict[str, nn.Module] = {"lots": Lots(training.seed)}
        for place, model in enumerate(self.models):
            dim = training.teacher_dims[model]
            parts[f"projector_{place}"] = self._projector(training, dim)
            for side in of_sides(self.sides):
                parts[f"{side}_{place}"] = Standardise(dim, self.momentum)
        return parts

    def _projector(self, training: Training, teacher_dim: int) -> "nn.Module":
        if not self.blocks:
            return projector(self.projector, training.student_dim, teacher_dim, self.kind)
        from retkd.objectives.ladder import Ladder

        stack = training.student_stack
        assert stack is not None
        return Ladder(required_dim(training.student_dim, self.kind), stack.width, stack.layers - 1, teacher_dim)

    def trained_parts(self, training: Training) -> "nn.ModuleDict":
        """The same, where blocks are read."""
        from torch import nn

        return nn.ModuleDict(self._parts(training))

    def reads(self, training: Training, step: int, progress: float) -> "tuple[Reads, Reads]":
        """The student's blocks but the last, whose step is that from its vector."""
        from retkd.training.states import Reads

        assert training.student_stack is not None
        return Reads(frozenset(range(1, training.student_stack.layers))), Reads()

    def of_pass(self, seen: "Pass", term: "LayerTerm") -> "list[Tensor]":
        """``[text, width]`` of each block."""
        from retkd.losses.layers import mean_over_tokens

        return [mean_over_tokens(state, seen.student.mask) for _, state in sorted(seen.student.hidden.items())]

    def value(self, parts: "list[list[Tensor]]", scored: "ScoredBatch", term: "LayerTerm") -> "Tensor":
        """Over the vectors and the blocks of the batch's texts."""
        import torch

        documents = [torch.cat(blocks) for blocks in zip(*parts[1:], strict=True)]
        return self._mean_of_sides(scored, term.trained, {"queries": [parts[0]], "documents": [documents]})

    def _mean_of_sides(
        self,
        scored: "ScoredBatch",
        parts: "Mapping[str, nn.Module]",
        blocks: "Mapping[str, list[list[Tensor]]] | None" = None,
    ) -> "Tensor":
        """``blocks`` of a side: what a ladder reads beside the vectors, an argument of each projector."""
        import torch

        beside = blocks or {}
        told = [self._of_side(scored, side, parts, beside.get(side, ())) for side in of_sides(self.sides)]
        return torch.stack(told).mean()

    def _of_side(
        self, scored: "ScoredBatch", side: str, parts: "Mapping[str, nn.Module]", beside: "Sequence[list[Tensor]]"
    ) -> "Tensor":
        import torch

        from retkd.losses.embedding import kept_teachers, mixed_distance

        columns = []
        for place, model in enumerate(self.models):
            student, teacher = vectors(scored, side, model)
            target = parts[f"{side}_{place}"](teacher)
            columns.append(mixed_distance(parts[f"projector_{place}"](student, *beside), target))
        losses = torch.stack(columns, dim=1)
        with parts["lots"]():
            draws = torch.rand(losses.shape).to(losses.device)
        return (kept_teachers(losses, draws, self.drop) * losses).sum(dim=1).mean()
