"""Squared differences of hidden states, token by token, after a linear map where widths differ."""

from typing import TYPE_CHECKING, Any, Literal

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

    def trained_parts(self, training: Training) -> "nn.Module | None":
        """The maps."""
        from torch import nn

        own, other = widths(self, training)
        if not self.projection:
            require_equal_widths(self, own, other, "set `projection: true`")
            return None
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


def require_equal_widths(term: PairedLayers, own: int, other: int, next_step: str) -> None:
    """Raise :class:`ModelError` where the term cannot compare states of these widths."""
    from retkd.errors import ModelError

    if own != other:
        raise ModelError(
            f"the objective {term.kind!r} compares states of student and teacher directly, and their widths differ",  # type: ignore[attr-defined]
            where=f"the teacher {term.model}",
            seen=f"student {own}, teacher {other}",
            next_step=next_step,
        )
