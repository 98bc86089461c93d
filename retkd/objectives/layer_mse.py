"""Squared differences of hidden states, token by token, after a linear map where widths differ."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from retkd.errors import ModelError
from retkd.layers import StackShape
from retkd.objectives.base import Training
from retkd.objectives.layered import PairedLayers

if TYPE_CHECKING:
    from torch import nn

    from retkd.training.layer_term import LayerTerm, Pass


class LayerMSE(PairedLayers):
    """:func:`retkd.losses.layers.token_mse`, mean over pairs of layers and tokens.

    ``projection``: a linear map of the student's states for each pair, trained with the student and then dropped. Sanh et
    al. 2019 and Jiao et al. 2020 (TinyBERT), eq. 8, without and with it.
    """

    kind: Literal["layer_mse"] = "layer_mse"
    projection: bool = True

    def misfits(self, student: StackShape | None, teacher: StackShape | None) -> Iterator[tuple[str, ModelError]]:
        """Layers beyond the last, and widths that differ where nothing is between them."""
        yield from super().misfits(student, teacher)
        if not self.projection:
            yield from unequal_widths(self, student, teacher, ("projection", "set `projection: true`"))

    def trained_parts(self, training: Training) -> "nn.Module | None":
        """The maps."""
        from torch import nn

        if not self.projection:
            return None
        own, other = widths(self, training)
        return nn.ModuleList([nn.Linear(own, other) for _ in self.pairs(training)])

    def of_pass(self, seen: "Pass", term: "LayerTerm") -> Any:
        """(sum, count) over the valid tokens of each pair."""
        from retkd.losses.layers import token_mse

        pairs = self.pairs(term.about)
        found = []
        for number, (one, other) in enumerate(pairs):
            states = seen.student.hidden[one]
            states = states if term.trained is None else term.trained[number](states)
            found.append(token_mse(states, seen.teacher.hidden[other], seen.student.mask))
        return sum(total for total, _ in found), sum(count for _, count in found)


def widths(term: PairedLayers, training: Training) -> tuple[int, int]:
    """Of the student's states and of the teacher's."""
    assert training.student_stack is not None
    return training.student_stack.width, training.teacher_stacks[term.model].width


def unequal_widths(
    term: PairedLayers, student: StackShape | None, teacher: StackShape | None, mend: tuple[str, str]
) -> Iterator[tuple[str, ModelError]]:
    """The problem where the term cannot compare states of these widths. ``mend``: its key, and what to do."""
    if student is not None and teacher is not None and student.width != teacher.width:
        yield (
            mend[0],
            ModelError(
                f"the objective {term.kind!r} compares states of student and teacher directly, and their widths differ",  # type: ignore[attr-defined]
                where=f"the teacher {term.model}",
                seen=f"student {student.width}, teacher {teacher.width}",
                next_step=mend[1],
            ),
        )
