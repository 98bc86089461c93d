"""The terms of a `quantised` term bound to one training."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from retkd.batch import ScoredBatch
from retkd.losses.quantisation import eight_bits, signs
from retkd.objectives.base import Training
from retkd.objectives.rescored import rescored
from retkd.objectives.terms import Terms

if TYPE_CHECKING:
    from retkd.objectives.quantised import Quantised


class Rounded(nn.Module):
    """The terms on vectors rounded as an index holds them."""

    def __init__(self, objective: "Quantised", training: Training) -> None:
        super().__init__()
        self.held = signs if objective.codes == "binary" else eight_bits
        self.queries = objective.queries
        self.terms = Terms(objective.terms, training)

    def forward(self, scored: ScoredBatch) -> Tensor:
        """Their weighted sum, a scalar."""
        assert scored.queries is not None
        assert scored.documents is not None
        queries = self.held(scored.queries) if self.queries else scored.queries
        value: Tensor = self.terms(rescored(scored, queries, self.held(scored.documents)))
        return value
