"""Head: terms that read one head of a student with two, said by hand."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from retkd.heads import HeadName
from retkd.objectives.base import Objective, Training
from retkd.objectives.wrapper import Wrapper

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class Head(Wrapper):
    """The weighted sum of ``terms`` on one head of a student of kind two_heads, whatever they read."""

    kind: Literal["head"] = "head"
    head: HeadName

    @property
    def needs_heads(self) -> bool:
        """Always."""
        return True

    def bind(self, training: Training) -> "Callable[[ScoredBatch], Tensor]":
        """The terms; the training gives them their head's vectors."""
        from retkd.objectives.terms import Terms

        return Terms(self.terms, training)


def head_of(term: Objective) -> HeadName | None:
    """The head that a term reads: the teacher's where it reads a teacher, else the labels'. None: its terms read both."""
    if isinstance(term, Head):
        return term.head
    taught = {bool(leaf.teacher_names or leaf.encoders) for leaf in term.leaves}
    if len(taught) > 1:
        return None
    return "teacher" if taught == {True} else "labels"
