"""The module that the trainer sees: an encoder and a weighted objective; a batch in, the loss and its terms out."""

import inspect
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from retkd.batch import Batch, Features, ScoredBatch
from retkd.encoder import Encoder, Side
from retkd.objectives.base import Objective, Training
from retkd.students.scoring import TokenVectors, in_batch_maxsim, in_batch_scores, own_scores


class DistilledEncoder(nn.Module):
    """Encodes every text of a batch once and adds up the objective's terms."""

    def __init__(
        self,
        encoder: Encoder,
        objective: Sequence[Objective],
        training: Training | None = None,
        stored_documents: str | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder.model
        self.source = encoder
        self.stored_documents = stored_documents
        self.objective = WeightedObjective(objective, training or Training(student_dim=encoder.dim))

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """``loss`` and, detached, each unweighted term under its label. ``progress``: the share of the steps made."""
        terms: dict[str, Tensor] = self.objective(replace(self.score(batch), progress=progress))
        return terms

    def score(self, batch: Batch) -> ScoredBatch:
        """The student's scores of the batch, in float32 also where the encoder runs in half precision.

        Near 1 the bfloat16 numbers are 0.004 apart: at a temperature of 0.05 that is 0.08 in the logit.
        """
        features = looked_up(self.word_embeddings, [batch.queries, *batch.documents])
        if self.source.MAXSIM:
            return self._score_tokens(batch, features)
        queries = self.vectors(features[0], "query").float()
        documents = self._documents(batch, features[1:]).float()
        with torch.autocast(queries.device.type, enabled=False):
            in_batch = in_batch_scores(queries, documents)
        return ScoredBatch(batch, own_scores(in_batch, batch.candidates), in_batch, queries, documents)

    def _documents(self, batch: Batch, chunks: Sequence[Features]) -> Tensor:
        """``[doc, dim]``: encoded, or where training leaves the documents' tower as it is, as they lie in the store."""
        if self.stored_documents is not None:
            return batch.teacher_documents[self.stored_documents]
        return torch.cat([self.vectors(chunk, "document") for chunk in chunks])

    def _score_tokens(self, batch: Batch, features: Sequence[Features]) -> ScoredBatch:
        """By MaxSim, chunk by chunk of the documents. There is no vector of a text: ``queries`` and ``documents`` are None."""
        queries = self.token_vectors(features[0], "query")
        columns = []
        for chunk in features[1:]:
            documents = self.token_vectors(chunk, "document")
            with torch.autocast(documents.vectors.device.type, enabled=False):
                columns.append(in_batch_maxsim(queries, documents))
        in_batch = torch.cat(columns, dim=1)
        return ScoredBatch(batch, own_scores(in_batch, batch.candidates), in_batch)

    def vectors(self, features: Features, side: Side) -> Tensor:
        """``[text, dim]`` with gradient."""
        vectors: Tensor = self.encoder(dict(features), task=side)["sentence_embedding"]
        return vectors

    def token_vectors(self, features: Features, side: Side) -> TokenVectors:
        """One vector for each token that is compared, with gradient."""
        found = self.encoder(dict(features), task=side)
        return TokenVectors(found["token_embeddings"], found["attention_mask"].bool())

    @property
    def word_embeddings(self) -> nn.Module | None:
        """The table of word embeddings, of a transformer that both sides share and that can be given their vectors; else
        None."""
        model = getattr(self.encoder[0], "auto_model", None)
        if model is None or self.source.reads_ids or "inputs_embeds" not in inspect.signature(model.forward).parameters:
            return None
        return model.get_input_embeddings()  # type: ignore[no-any-return]


class WeightedObjective(nn.Module):
    """The terms of an objective bound to one training. Those with parameters or state of their own are its submodules."""

    def __init__(self, objective: Sequence[Objective], training: Training) -> None:
        super().__init__()
        self.weights = [term.weight for term in objective]
        self.labels = labels([term.kind for term in objective])  # type: ignore[attr-defined]
        self.terms = [term.bind(training) for term in objective]
        self.trained = nn.ModuleList([term for term in self.terms if isinstance(term, nn.Module)])

    def forward(self, scored: ScoredBatch) -> dict[str, Tensor]:
        """``loss``, the weighted sum of the terms, and, detached, each unweighted term under its label."""
        values = [term(scored) for term in self.terms]
        loss = torch.stack([weight * value for weight, value in zip(self.weights, values, strict=True)]).sum()
        return {"loss": loss, **{name: value.detach() for name, value in zip(self.labels, values, strict=True)}}


def looked_up(table: nn.Module | None, chunks: Sequence[Features]) -> list[Features]:
    """The chunks with word vectors in the place of token ids, from one look-up for all of them.

    The gradient of the table is as big as the vocabulary: so it is filled once, and not once per chunk.
    """
    if table is None:
        return list(chunks)
    ids = [chunk["input_ids"] for chunk in chunks]
    parts = table(torch.cat([each.flatten() for each in ids])).split([each.numel() for each in ids])
    rest = [{name: value for name, value in chunk.items() if name != "input_ids"} for chunk in chunks]
    told = zip(rest, parts, ids, strict=True)
    return [{**other, "inputs_embeds": vectors.view(*each.shape, -1)} for other, vectors, each in told]


def labels(kinds: Sequence[str]) -> list[str]:
    """Names of the terms in the trace: the kind, numbered where it stands several times.

    >>> labels(["kl", "infonce", "kl"])
    ['kl', 'infonce', 'kl_2']
    """
    return [kind if (n := kinds[: i + 1].count(kind)) == 1 else f"{kind}_{n}" for i, kind in enumerate(kinds)]
