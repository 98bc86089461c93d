"""The module that the trainer sees: an encoder and a weighted objective; a batch in, the loss and its terms out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from retkd.batch import Batch, Features, ScoredBatch
from retkd.encoder import Encoder
from retkd.objectives.base import Objective
from retkd.students.scoring import in_batch_scores, own_scores


class DistilledEncoder(nn.Module):
    """Encodes every text of a batch once and adds up the objective's terms."""

    def __init__(self, encoder: Encoder, objective: Sequence[Objective]) -> None:
        super().__init__()
        self.encoder = encoder.model
        self.objective = list(objective)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """``loss`` and, detached, each unweighted term under its kind."""
        scored = self.score(batch)
        terms = [term.loss(scored) for term in self.objective]
        loss = torch.stack([term.weight * value for term, value in zip(self.objective, terms, strict=True)]).sum()
        named = {f"{term.kind}": value.detach() for term, value in zip(self.objective, terms, strict=True)}  # type: ignore[attr-defined]
        return {"loss": loss, **named}

    def score(self, batch: Batch) -> ScoredBatch:
        """The student's scores of the batch."""
        queries = self.vectors(batch.queries)
        documents = torch.cat([self.vectors(chunk) for chunk in batch.documents])
        in_batch = in_batch_scores(queries, documents)
        return ScoredBatch(batch, own_scores(in_batch, batch.candidates), in_batch)

    def vectors(self, features: Features) -> Tensor:
        """``[text, dim]`` with gradient."""
        return self.encoder(dict(features))["sentence_embedding"]
