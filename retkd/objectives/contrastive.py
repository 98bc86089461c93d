"""InfoNCE: each judged positive against the documents of the batch."""

from typing import TYPE_CHECKING, Literal

from retkd.objectives.base import Objective
from retkd.objectives.learned import Temperature

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class InfoNCE(Objective):
    """:func:`retkd.losses.contrastive.infonce`; negatives are the query's own and, with ``in_batch``, everyone's."""

    kind: Literal["infonce"] = "infonce"
    temperature: Temperature = 0.05
    in_batch: bool = True

    @property
    def needs_positives(self) -> bool:
        """It learns from nothing else."""
        return True

    @property
    def needs_lists(self) -> bool:
        """Alone with its own list, a positive needs a negative in it."""
        return not self.in_batch

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over positives, in nats."""
        return contrastive(scored, temperature=self.temperature, in_batch=self.in_batch)


def contrastive(
    scored: "ScoredBatch", *, temperature: float, in_batch: bool, weights: "Tensor | None" = None
) -> "Tensor":
    """Mean over positives, in nats: each against the documents of the batch or the query's own. ``weights``: of queries."""
    from retkd.losses.contrastive import infonce, localised_contrastive

    batch = scored.batch
    if in_batch:
        known = batch.own_positives, batch.positives
        return infonce(scored.in_batch, *known, temperature=temperature, weights=weights)
    return localised_contrastive(scored.own, batch.positive, batch.mask, temperature=temperature, weights=weights)
