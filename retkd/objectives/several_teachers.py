"""Terms of several teacher columns: each query's KL from each teacher, weighted, routed by a gate, or drawn by a policy."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PositiveFloat, field_validator, model_validator

from retkd.objectives.base import SCORES, Objective, Training
from retkd.parts import Scale

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class TeachersObjective(Objective):
    """A term that reads the columns of several teachers. Lists are standardised unless told otherwise: scales differ."""

    SCALES: ClassVar[tuple[Scale, ...]] = SCORES
    RULE: ClassVar[str] = (
        "a KL needs differences: take the logit of a probability, and leave out a teacher that only ranks"
    )

    teachers: dict[str, PositiveFloat] = Field(
        min_length=1, description="column -> number; a list of columns counts them alike"
    )
    standardise: bool = Field(default=True, description="first bring each teacher list to mean 0, deviation 1")
    student_temperature: float = Field(default=0.05, gt=0.0)
    teacher_temperature: float = Field(default=1.0, gt=0.0)

    @field_validator("teachers", mode="before")
    @classmethod
    def _alike(cls, teachers: Any) -> Any:
        if not isinstance(teachers, list) or not all(isinstance(teacher, str) for teacher in teachers):
            return teachers
        twice = [teacher for teacher in teachers if teachers.count(teacher) > 1]
        if twice:
            raise ValueError(f"the teacher {twice[0]} stands twice: a mapping gives it a greater number")
        return dict.fromkeys(teachers, 1.0)

    @property
    def teacher_names(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self.teachers)

    def lists(self, scored: "ScoredBatch") -> "Tensor":
        """``[teacher, query, cand]``, standardised if asked for."""
        import torch

        from retkd.losses.listwise import standardised

        found = [scored.batch.teachers[name] for name in self.teachers]
        return torch.stack([standardised(each, scored.batch.mask) if self.standardise else each for each in found])

    def divergences(self, scored: "ScoredBatch") -> "Tensor":
        """``[query, teacher]``, in nats."""
        from retkd.losses.routing import teacher_divergences

        temperatures = {
            "student_temperature": self.student_temperature,
            "teacher_temperature": self.teacher_temperature,
        }
        return teacher_divergences(scored.own, self.lists(scored), scored.batch.mask, **temperatures)


class WeightedKL(TeachersObjective):
    """The mean of the teachers' KLs, weighted query by query: w_k is proportional to number_k * exp(c_k / temperature).

    ``entropy``: c is 1 - H / log n of the teacher's distribution over the list, ``margin``: the lead of its first
    document. An ensemble of the score stage averages scores instead: there one teacher may outvote another, here the
    student is drawn to each.
    """

    kind: Literal["weighted_kl"] = "weighted_kl"
    by: Literal["fixed", "entropy", "margin"] = "fixed"
    temperature: float = Field(default=0.25, gt=0.0, description="of the weights; entropies lie between 0 and 1")

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries, in nats."""
        return (self.weights(scored) * self.divergences(scored)).sum(dim=1).mean()

    def weights(self, scored: "ScoredBatch") -> "Tensor":
        """``[query, teacher]``, rows sum to 1; without gradient."""
        import torch

        from retkd.losses.routing import lead, sureness

        mask = scored.batch.mask
        prior = torch.tensor(list(self.teachers.values()), device=mask.device).log()
        if self.by == "fixed":
            return torch.softmax(prior, dim=0).expand(len(mask), -1)
        lists = self.lists(scored).detach()
        sure = [
            sureness(each / self.teacher_temperature, mask) if self.by == "entropy" else lead(each, mask)
            for each in lists
        ]
        return torch.softmax(prior + torch.stack(sure, dim=1) / self.temperature, dim=1)


class RoutedKL(TeachersObjective):
    """The KLs of the ``top_k`` teachers that a gate picks for each query, and a load balance. MST-Distill (2025), on lists.

    Its code picks by the gate but does not weigh by it, so that the gate learns from the balance alone and stays near
    uniform: ``weighted: false``. Weighted, the gate is drawn to the teachers that the student can follow; the balance
    holds against that. Numbers beside the teachers are not read here.
    """

    kind: Literal["routed_kl"] = "routed_kl"
    top_k: int = Field(default=2, ge=1)
    weighted: bool = True
    balance: float = Field(default=1.0, ge=0.0, description="weight of KL(uniform || mean gate)")

    @model_validator(mode="after")
    def _fits(self) -> "RoutedKL":
        if self.top_k > len(self.teachers):
            raise ValueError(f"top_k {self.top_k} is more than the {len(self.teachers)} teachers")
        if self.weighted and self.top_k == 1 and len(self.teachers) > 1:
            raise ValueError(
                "one picked teacher has weight 1 whatever the gate says, which then learns nothing: take top_k 2 or more, "
                "`weighted: false`, or the objective reinforced_kl"
            )
        if not self.weighted and not self.balance and self.top_k < len(self.teachers):
            raise ValueError(
                f"a gate without weights and balance learns from nothing and picks the first {self.top_k} teachers of every "
                "query: give `balance`, or set `weighted: true`"
            )
        return self

    def bind(self, training: Training) -> "Callable[[ScoredBatch], Tensor]":
        """The gate, which is trained with the student."""
        from retkd.training.teacher_routing import Routed

        return Routed(self, training)


class ReinforcedKL(TeachersObjective):
    """The mean KL of the teachers that a policy draws for each query; at least one. Yuan et al. 2021, on lists.

    The policy learns by REINFORCE: its reward is minus the KL that its draw left. Numbers beside the teachers are not
    read here.
    """

    kind: Literal["reinforced_kl"] = "reinforced_kl"
    policy: float = Field(default=0.1, ge=0.0, description="weight of the policy's loss")

    def bind(self, training: Training) -> "Callable[[ScoredBatch], Tensor]":
        """The policy, which is trained with the student."""
        from retkd.training.teacher_routing import Reinforced

        return Reinforced(self, training)
