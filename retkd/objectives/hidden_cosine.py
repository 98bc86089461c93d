"""Cosines of hidden states, token by token: DistilBERT's third loss."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from retkd.errors import ModelError
from retkd.layers import StackShape
from retkd.objectives.layer_mse import unequal_widths
from retkd.objectives.layered import PairedLayers

if TYPE_CHECKING:
    from retkd.training.layer_term import LayerTerm, Pass


class HiddenCosine(PairedLayers):
    """:func:`retkd.losses.layers.token_cosine`, mean over pairs of layers and tokens. Widths must be equal."""

    kind: Literal["hidden_cosine"] = "hidden_cosine"

    def misfits(self, student: StackShape | None, teacher: StackShape | None) -> Iterator[tuple[str, ModelError]]:
        """Layers beyond the last, and widths that differ: there is no map between them."""
        yield from super().misfits(student, teacher)
        yield from unequal_widths(self, student, teacher, ("kind", "use layer_mse, which has a `projection`"))

    def of_pass(self, seen: "Pass", term: "LayerTerm") -> Any:
        """(sum, count) over the valid tokens of each pair."""
        from retkd.losses.layers import token_cosine

        found = [
            token_cosine(seen.student.hidden[one], seen.teacher.hidden[other], seen.student.mask)
            for one, other in self.pairs(term.about)
        ]
        return sum(total for total, _ in found), sum(count for _, count in found)
