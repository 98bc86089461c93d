"""InfoNCE: each judged positive against the documents of the batch."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.base import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class InfoNCE(Objective):
    """:func:`retkd.losses.contrastive.infonce`; negatives are the query's own and, with ``in_batch``, everyone's."""

    kind: Literal["infonce"] = "infonce"
    temperature: float = Field(default=0.05, gt=0.0)
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
        from retkd.losses.contrastive import infonce
        from retkd.losses.listwise import localised_contrastive

        batch = scored.batch
        if not self.in_batch:
            return localised_contrastive(scored.own / self.temperature, batch.positive, batch.mask)
        target = batch.own_positives
        return infonce(scored.in_batch, target, batch.positives | target, temperature=self.temperature)
