"""Filters of several teachers: those who must agree that a candidate is no false negative, or on the whole list."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from retkd.parts import kind_of, one_of
from retkd.selection.filters import Absolute, Filter, Margin, Percentage, ScoreFilter

if TYPE_CHECKING:
    import pyarrow as pa

    from retkd.selection.lists import Lists

AnyRule: Any = one_of({kind_of(cls): cls for cls in (Absolute, Margin, Percentage)})


class Consensus(Filter):
    """Keeps a candidate when at least ``agree`` of the rules say that it is a negative; default: all of them.

    Each rule has a teacher and a limit of its own, on that teacher's scale. A teacher that has not scored the row gives
    no vote, so with ``agree`` at its default such a row goes.
    """

    kind: Literal["consensus"] = "consensus"
    rules: list[AnyRule] = Field(min_length=2)
    agree: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _fits(self) -> "Consensus":
        if self.agree is not None and self.agree > len(self.rules):
            raise ValueError(f"agree {self.agree} is more than the {len(self.rules)} rules")
        return self

    def check(self, rows: "pa.Table") -> None:
        """Each rule can read its teacher."""
        for rule in self.rules:
            rule.check(rows)

    def kept(self, lists: "Lists") -> np.ndarray:
        """votes >= agree."""
        votes = np.zeros(lists.rows.num_rows, dtype=np.int64)
        for rule in self.rules:
            votes += self._votes(rule, lists)
        return np.asarray(votes >= (len(self.rules) if self.agree is None else self.agree))

    def _votes(self, rule: ScoreFilter, lists: "Lists") -> np.ndarray:
        return np.asarray(~np.isnan(lists.scores(rule.teacher)) & rule.kept(lists))

    @property
    def reason(self) -> str:
        """The teachers, each once."""
        return "consensus filter on " + ", ".join(dict.fromkeys(rule.teacher for rule in self.rules))


class Agreement(Filter):
    """Drops whole lists on which two teachers disagree: Kendall's tau-b of their scores below ``min_tau``.

    Reads no judgement. Over rows that both have scored; a list that one of them holds for constant has tau 0.
    A label-free proxy as in uDistil; the measure of agreement is ours. ``max_tau`` drops lists that teach nothing new: with a
    student as one of the two, and a filter `confidence` on the other, the middle band of KD^3.
    """

    WHOLE_LISTS: ClassVar[bool] = True

    LATER: ClassVar[tuple[str, ...]] = ("max_tau",)

    kind: Literal["agreement"] = "agreement"
    teachers: tuple[str, str]
    min_tau: float = Field(default=0.0, ge=-1.0, le=1.0)
    max_tau: float = Field(default=1.0, ge=-1.0, le=1.0)

    @model_validator(mode="after")
    def _rising(self) -> "Agreement":
        if self.max_tau < self.min_tau:
            raise ValueError(f"max_tau {self.max_tau} is less than min_tau {self.min_tau}")
        return self

    def check(self, rows: "pa.Table") -> None:
        """Both teachers are there; any scale orders a list."""
        from retkd.candidates import scale_of

        for teacher in self.teachers:
            scale_of(rows, teacher)

    def kept(self, lists: "Lists") -> np.ndarray:
        """min_tau <= tau <= max_tau, for every row of a list alike."""
        one, other = (lists.scores(teacher) for teacher in self.teachers)
        kept = np.zeros(len(one), dtype=bool)
        for _, start, stop in lists.groups:
            # Rounding must not drop a list of equal orders: its tau is 1.
            tau = min(kendall_tau(one[start:stop], other[start:stop]), 1.0)
            kept[start:stop] = self.min_tau <= tau <= self.max_tau
        return kept

    @property
    def reason(self) -> str:
        """The two teachers."""
        return "agreement filter on " + ", ".join(self.teachers)


def kendall_tau(one: np.ndarray, other: np.ndarray) -> float:
    """Kendall's tau-b over the places where neither is NaN; 0 where one of them is constant. Kendall 1945.

    >>> kendall_tau(np.array([3.0, 2.0, 1.0]), np.array([9.0, 1.0, 5.0]))
    0.3333333333333333
    """
    both = ~np.isnan(one) & ~np.isnan(other)
    signs = [np.sign(np.subtract.outer(values[both], values[both])) for values in (one, other)]
    pairs = [float((sign != 0).sum()) for sign in signs]
    return float((signs[0] * signs[1]).sum() / np.sqrt(pairs[0] * pairs[1])) if all(pairs) else 0.0
