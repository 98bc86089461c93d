"""Filters of whole lists by one teacher's confidence: which queries are worth learning from. No judgement is read."""

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from retkd.parts import Scale
from retkd.selection.filters import Filter

if TYPE_CHECKING:
    import pyarrow as pa

    from retkd.selection.lists import Lists

DIFFERENCES: tuple[Scale, ...] = ("logit", "log_probability", "cosine", "unbounded", "standardised")


class Confidence(Filter):
    """Drops whole lists on which a teacher is less sure than ``min``, or surer than ``max``; null: no such limit.

    ``entropy``: 1 - H / log n of softmax(score / temperature), from 0 (flat) to 1 (one document). ``margin``: its highest
    score minus its second, on its own scale. Over rows that it has scored; a list with fewer than two has confidence 0.
    Label-free proxies as in uDistil (Waheed et al. 2024), and with ``max`` the middle band of KD^3; both are about other
    tasks, these two measures are ours.
    """

    WHOLE_LISTS: ClassVar[bool] = True

    kind: Literal["confidence"] = "confidence"
    teacher: str
    by: Literal["entropy", "margin"] = "entropy"
    temperature: float = Field(default=1.0, gt=0.0, description="of the softmax that the entropy is of")
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _rising(self) -> "Confidence":
        if self.min is not None and self.max is not None and self.max < self.min:
            raise ValueError(f"max {self.max} is less than min {self.min}: no list would stay")
        return self

    def check(self, rows: "pa.Table") -> None:
        """The teacher is there, and its differences mean something."""
        from retkd.candidates import require_scale

        rule = "take a teacher that gives scores, or compare two teachers' orders: {kind: agreement, ...}"
        require_scale(rows, self.teacher, DIFFERENCES, "the filter 'confidence'", rule)

    def kept(self, lists: "Lists") -> np.ndarray:
        """min <= confidence <= max, for every row of a list alike."""
        scores = lists.scores(self.teacher)
        kept = np.zeros(len(scores), dtype=bool)
        for _, start, stop in lists.groups:
            found = self.of_list(scores[start:stop])
            kept[start:stop] = (self.min is None or found >= self.min) and (self.max is None or found <= self.max)
        return kept

    def of_list(self, scores: np.ndarray) -> float:
        """The confidence in one list; NaN is not scored.

        >>> round(Confidence(teacher="t").of_list(np.array([2.0, 1.0, 0.0])), 6)
        0.242321
        """
        scores = scores[~np.isnan(scores)]
        if len(scores) < 2:
            return 0.0
        if self.by == "margin":
            second, first = np.sort(scores)[-2:]
            return float(first - second)
        logits = scores / self.temperature
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        return float(1.0 + (shares * np.log(np.maximum(shares, 1e-300))).sum() / np.log(len(shares)))

    @property
    def reason(self) -> str:
        """The teacher."""
        return f"confidence filter on {self.teacher}"
