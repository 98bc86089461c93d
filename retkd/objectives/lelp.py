"""LELP: a list's KL, each candidate split into pseudo-subclasses along the directions in which the teacher's vectors differ."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.base import Objective, Training
from retkd.parts import Encoder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from retkd.batch import ScoredBatch


class LELP(Objective):
    """:func:`retkd.losses.subclasses.subclass_kl` over a query's own candidates (Loo et al. 2024, for few classes).

    Relevance has two classes, so their probabilities tell little. Here a candidate's share of its list is shared out among
    two subclasses per direction, by which way along it the teacher's document vector lies; the student's come from a linear
    head that is left behind. The directions are the principal ones of the first batch. The abstract alone was read.
    """

    kind: Literal["lelp"] = "lelp"
    model: Encoder
    num_directions: int = Field(default=4, ge=0, description="twice as many subclasses; 0: plain KL")
    student_temperature: float = Field(default=0.05, gt=0.0)
    teacher_temperature: float = Field(default=0.05, gt=0.0)
    subclass_temperature: float = Field(default=1.0, gt=0.0, description="of coordinates of deviation 1")

    @property
    def reads_vectors(self) -> bool:
        """The documents'."""
        return True

    @property
    def needs_lists(self) -> bool:
        """Subclasses have a gradient in a list of one."""
        return self.num_directions == 0

    def bind(self, training: Training) -> "Callable[[ScoredBatch], Tensor]":
        """The term around the student's head and the teacher's directions."""
        from torch import nn

        from retkd.objectives.bound import Bound
        from retkd.objectives.projectors import required_dim
        from retkd.objectives.statistics import Principal

        student_dim = required_dim(training.student_dim, self.kind)
        if self.num_directions == 0:
            return Bound({}, self._value)
        head = nn.Linear(student_dim, self.num_directions)
        return Bound(
            {"student": head, "teacher": Principal(training.teacher_dims[self.model], self.num_directions)}, self._value
        )

    def _value(self, scored: "ScoredBatch", parts: "Mapping[str, nn.Module]") -> "Tensor":
        """Mean over queries, in nats."""
        from retkd.losses.subclasses import subclass_kl

        batch, documents = scored.batch, scored.batch.teacher_documents[self.model]
        scores = batch.in_batch_teachers[self.model].gather(1, batch.candidates)
        student = self._logits(
            scored.own / self.student_temperature, scored.documents, parts, "student", batch.candidates
        )
        teacher = self._logits(scores / self.teacher_temperature, documents, parts, "teacher", batch.candidates)
        return subclass_kl(student, teacher, batch.mask)

    def _logits(
        self,
        scores: "Tensor",
        documents: "Tensor | None",
        parts: "Mapping[str, nn.Module]",
        name: str,
        candidates: "Tensor",
    ) -> "Tensor":
        from retkd.losses.subclasses import subclass_logits

        features = parts[name](documents)[candidates] if self.num_directions else scores.new_zeros((*scores.shape, 0))
        return subclass_logits(scores, features, temperature=self.subclass_temperature)
