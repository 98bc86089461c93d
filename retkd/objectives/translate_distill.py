"""Translate-Distill: a student learns on translations the list that a teacher made in the language that it reads best."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import ScoreObjective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class TranslateDistill(ScoreObjective):
    """:func:`retkd.losses.languages.translate_distill`; of a batch with all languages of each list, the mean of the languages.

    The teacher's scores belong to (query id, doc id): the stage that trains reads another language than the stage that
    scored (a view of kind translations).
    """

    RULE: ClassVar[str] = (
        "translate_distill needs differences that mean something: take the logit of a probability, and use RankNet or a "
        "Plackett-Luce loss for a teacher that only ranks"
    )

    kind: Literal["translate_distill"] = "translate_distill"
    alpha: float = Field(default=1.0, ge=0.0, description="sharpness of the teacher: its scores times alpha")
    student_temperature: float = Field(default=0.05, gt=0.0)
    distance: Literal["kl", "mse"] = Field(default="kl", description="mse: of the log-probabilities")

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries and languages."""
        from retkd.losses.languages import translate_distill

        batch = scored.batch
        student, teacher, mask = scored.own, self.teacher_scores(scored), batch.mask
        if batch.variants is not None:
            student, teacher, mask = (batch.by_language(each) for each in (student, teacher, mask))
        return translate_distill(
            student,
            teacher,
            mask,
            alpha=self.alpha,
            student_temperature=self.student_temperature,
            distance=self.distance,
        )
