"""XDED: queries of the batch that want the same document shall see the batch alike."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import Objective, Training

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class XDED(Objective):
    """:func:`retkd.losses.paraphrases.consensus_kl` over groups of queries with a judged positive in common.

    A batch without such queries gives 0: it is for collections with several queries to a document (generated, translated),
    in ``batches: {kind: by_topic}``, which brings them together. Without a teacher and beside another term.
    """

    BESIDE: ClassVar[Literal["any"]] = "any"
    WHY_BESIDE: ClassVar[str] = "alone it is zero for a student that sees no difference between documents"

    kind: Literal["xded"] = "xded"
    temperature: float = Field(default=0.05, gt=0.0)

    @property
    def reads_in_batch(self) -> bool:
        """Always: only there do two queries have candidates in common."""
        return True

    @property
    def needs_positives(self) -> bool:
        """They make the groups."""
        return True

    def bind(self, training: Training) -> "Callable[[ScoredBatch], Tensor]":
        """The term in full precision: half of it would not make distributions of the means."""
        from retkd.objectives.bound import Bound

        return Bound({}, lambda scored, _: self.loss(scored))

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries, in nats."""
        from retkd.losses.paraphrases import consensus_kl

        wanted = scored.batch.relevant.to(scored.in_batch.dtype)
        return consensus_kl(scored.in_batch, wanted @ wanted.T > 0, temperature=self.temperature)
