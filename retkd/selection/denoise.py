"""RocketQA's denoising: a cross-encoder that is sure decides what is a negative, and what an unlabelled positive."""

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from retkd.parts import Scale
from retkd.selection.filters import ScoreFilter

if TYPE_CHECKING:
    from retkd.selection.lists import Lists


class Denoise(ScoreFilter):
    """Keeps a negative only where the teacher's probability of relevance is below ``negative_below``.

    With ``pseudo_positives``, an unjudged passage above ``positive_above`` becomes a positive of its query: relevance 1,
    and ``+pseudo`` at its source. Logits become probabilities by the sigmoid. A row that the teacher has not scored is
    not known to be a negative and goes. Qu et al. 2021 (RocketQA).
    """

    SCALES: ClassVar[tuple[Scale, ...]] = ("probability", "logit")
    RULE: ClassVar[str] = (
        "take a teacher whose score is a probability of relevance, or its logit; for others use {kind: margin, margin: ...}"
    )

    kind: Literal["denoise"] = "denoise"
    negative_below: float = Field(default=0.1, gt=0.0, le=1.0)
    positive_above: float = Field(default=0.9, ge=0.0, lt=1.0)
    pseudo_positives: bool = False

    @model_validator(mode="after")
    def _apart(self) -> "Denoise":
        if self.positive_above < self.negative_below:
            raise ValueError(f"positive_above {self.positive_above} is less than negative_below {self.negative_below}")
        return self

    def kept(self, lists: "Lists") -> np.ndarray:
        """probability < negative_below."""
        return self.probabilities(lists) < self.negative_below

    def promoted(self, lists: "Lists") -> np.ndarray:
        """Bool per row: the unjudged ones that become positives."""
        if not self.pseudo_positives:
            return np.zeros(lists.rows.num_rows, dtype=bool)
        unjudged = lists.rows["relevance"].is_null().to_numpy(zero_copy_only=False)
        return np.asarray(unjudged & (self.probabilities(lists) > self.positive_above))

    def probabilities(self, lists: "Lists") -> np.ndarray:
        """float64 per row; NaN where the teacher has not scored it."""
        from retkd.candidates import scale_of

        scores = lists.scores(self.teacher)
        return scores if scale_of(lists.rows, self.teacher) == "probability" else sigmoid(scores)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow.

    >>> sigmoid(np.array([0.0, -2000.0])).tolist()
    [0.5, 0.0]
    """
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1.0, small) / (1.0 + small))
