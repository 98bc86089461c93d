"""Cosines of hidden states, token by token: DistilBERT's third loss."""

from typing import TYPE_CHECKING, Any, Literal

from retkd.objectives.base import Training
from retkd.objectives.layer_mse import require_equal_widths, widths
from retkd.objectives.layered import PairedLayers

if TYPE_CHECKING:
    from torch import nn

    from retkd.training.layer_term import LayerTerm, Pass


class HiddenCosine(PairedLayers):
    """:func:`retkd.losses.layers.token_cosine`, mean over pairs of layers and tokens. Widths must be equal."""

    kind: Literal["hidden_cosine"] = "hidden_cosine"

    def trained_parts(self, training: Training) -> "nn.Module | None":
        """None: there is no map between widths."""
        require_equal_widths(self, *widths(self, training), "use layer_mse, which has a `projection`")
        return None

    def of_pass(self, seen: "Pass", term: "LayerTerm") -> Any:
        """(sum, count) over the valid tokens of each pair."""
        from retkd.losses.layers import token_cosine

        found = [
            token_cosine(seen.student.hidden[one], seen.teacher.hidden[other], seen.student.mask)
            for one, other in self.pairs(term.about)
        ]
        return sum(total for total, _ in found), sum(count for _, count in found)
