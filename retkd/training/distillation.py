"""The module that the trainer sees: an encoder and a weighted objective; a batch in, the loss and its terms out."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from retkd.batch import Batch, Features, ScoredBatch
from retkd.encoders.encoder import Encoder, Side
from retkd.objectives.base import Objective, Training
from retkd.objectives.terms import Terms
from retkd.students.scoring import TokenVectors, in_batch_maxsim, in_batch_scores, own_scores
from retkd.training.companion import Companion
from retkd.training.layer_term import LayerReading, LayerTerm
from retkd.training.passes import Passes
from retkd.training.states import Reads, States, recorded


class DistilledEncoder(nn.Module):
    """Encodes every text of a batch once and adds up the objective's terms. ``teachers``: those whose layers are read."""

    def __init__(
        self,
        encoder: Encoder,
        objective: Sequence[Objective],
        training: Training | None = None,
        teachers: Mapping[str, Encoder] | None = None,
        passes: Passes | None = None,
        companion: Companion | None = None,
        stored_documents: str | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder.model
        self.source = encoder
        self.stored_documents = stored_documents
        self.passes = passes or Passes()
        self.objective = WeightedObjective(objective, training or Training(student_dim=encoder.dim))
        self.teachers = dict(teachers or {})
        self.companion = companion

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """``loss`` and, detached, each unweighted term under its label. ``progress``: the share of the steps made."""
        if self.companion is not None:
            self.companion.begin(progress)
        terms: dict[str, Tensor] = self.objective(self.score(batch, progress))
        return terms if self.companion is None else added(terms, self.companion.terms(batch))

    def score(self, batch: Batch, progress: float = 0.0, partner: Sequence[States] = ()) -> ScoredBatch:
        """The student's scores of the batch, in float32 also where the encoder runs in half precision.

        Near 1 the bfloat16 numbers are 0.004 apart: at a temperature of 0.05 that is 0.08 in the logit. ``partner``: of each
        pass the layers of the model that is trained beside it, where a term reads them.
        """
        texts = _texts(batch)
        if self.source.MAXSIM:
            return self._score_tokens(batch, texts, progress)
        if self.objective.reading:
            features = looked_up(word_embeddings(self.source), texts)
            model = self.encoder[0].auto_model
            read = LayerReading(model, self.teachers, self.objective.reading, progress, partner)
            vectors = [read.vectors(self.vectors, *both) for both in zip(features, texts, strict=True)]
            return replace(scored(batch, vectors, progress), parts=read.parts)
        vectors = self.passes.through(self.encode, texts)
        if self.stored_documents is not None:
            vectors.append(batch.teacher_documents[self.stored_documents])
        return scored(batch, vectors, progress)

    def score_with_layers(self, batch: Batch, reads: Reads) -> tuple[ScoredBatch, list[States]]:
        """The scores of the batch, and what the layers made of each pass on the way, with gradient."""
        texts = _texts(batch)
        vectors, states = [], []
        for features, tokens in zip(looked_up(word_embeddings(self.source), texts), texts, strict=True):
            with recorded(self.encoder[0].auto_model, reads, tokens["attention_mask"]) as seen:
                vectors.append(self.vectors(features))
            states.append(seen)
        return scored(batch, vectors), states

    def encode(self, chunks: Sequence[Features]) -> list[Tensor]:
        """``[text, dim]`` of each chunk, with gradient. A chunk says under ``side`` which side's texts it holds."""
        return [self.vectors(chunk) for chunk in looked_up(word_embeddings(self.source), chunks)]

    def _score_tokens(self, batch: Batch, texts: Sequence[Features], progress: float) -> ScoredBatch:
        """By MaxSim, chunk by chunk of the documents. There is no vector of a text: ``queries`` and ``documents`` are None."""
        features = looked_up(word_embeddings(self.source), texts)
        queries = self.token_vectors(features[0])
        columns = []
        for chunk in features[1:]:
            documents = self.token_vectors(chunk)
            with torch.autocast(documents.vectors.device.type, enabled=False):
                columns.append(in_batch_maxsim(queries, documents))
        in_batch = torch.cat(columns, dim=1)
        return ScoredBatch(batch, own_scores(in_batch, batch.candidates), in_batch, progress=progress)

    def vectors(self, features: Features) -> Tensor:
        """``[text, dim]`` with gradient."""
        vectors: Tensor = self._through(features)["sentence_embedding"]
        return vectors

    def token_vectors(self, features: Features) -> TokenVectors:
        """One vector for each token that is compared, with gradient."""
        found = self._through(features)
        return TokenVectors(found["token_embeddings"], found["attention_mask"].bool())

    def _through(self, features: Features) -> dict[str, Tensor]:
        told: dict[str, Any] = dict(features)
        side: Side = told.pop("side", "document")
        found: dict[str, Tensor] = self.encoder(told, task=side)
        return found


def word_embeddings(encoder: Encoder) -> nn.Module | None:
    """The table of word embeddings, of a transformer that both sides share and that can be given their vectors; else None."""
    model = getattr(encoder.model[0], "auto_model", None)
    if model is None or encoder.reads_ids or "inputs_embeds" not in inspect.signature(model.forward).parameters:
        return None
    return model.get_input_embeddings()  # type: ignore[no-any-return]


def _texts(batch: Batch) -> list[Features]:
    """The queries, then the documents chunk by chunk."""
    return [_of("query", batch.queries), *(_of("document", chunk) for chunk in batch.documents)]


def _of(side: Side, features: Features) -> Features:
    """The features of a chunk, which says whose texts it holds: towers may differ."""
    return {**features, "side": side}  # type: ignore[dict-item]


def scored(batch: Batch, vectors: Sequence[Tensor], progress: float = 0.0) -> ScoredBatch:
    """The scores that the vectors of a batch's passes give: of the queries, then of each chunk of documents."""
    queries, documents = vectors[0].float(), torch.cat(list(vectors[1:])).float()
    with torch.autocast(queries.device.type, enabled=False):
        in_batch = in_batch_scores(queries, documents)
    return ScoredBatch(batch, own_scores(in_batch, batch.candidates), in_batch, queries, documents, progress)


@runtime_checkable
class Telling(Protocol):
    """A bound term with numbers of its own to tell, such as a learned temperature."""

    def told(self) -> dict[str, Tensor]: ...


class WeightedObjective(Terms):
    """The terms of an objective, each with its label in the trace. ``reading``: those that read layers."""

    def __init__(self, objective: Sequence[Objective], training: Training) -> None:
        super().__init__(objective, training)
        self.labels = labels([term.kind for term in objective])  # type: ignore[attr-defined]
        self.reading = [term for term in self.terms if isinstance(term, LayerTerm)]

    def forward(self, scored: ScoredBatch) -> dict[str, Tensor]:
        """``loss``, the weighted sum of the terms, and, detached, each unweighted term under its label and what it tells."""
        told = self.told()
        values = self.values(scored)
        unweighted = {name: value.detach() for name, value in zip(self.labels, values, strict=True)}
        return {"loss": self.total(values), **unweighted, **told}

    def told(self) -> dict[str, Tensor]:
        """The numbers that the terms tell of themselves as they are now: ``infonce.temperature`` and the like."""
        named = [
            (label, term.told())
            for label, term in zip(self.labels, self.terms, strict=True)
            if isinstance(term, Telling)
        ]
        return {f"{label}.{name}": value for label, numbers in named for name, value in numbers.items()}


def added(terms: dict[str, Tensor], more: dict[str, Tensor]) -> dict[str, Tensor]:
    """The terms with further ones, whose values are added to the loss as they are."""
    loss = torch.stack([terms["loss"], *more.values()]).sum()
    return {**terms, **{name: value.detach() for name, value in more.items()}, "loss": loss}


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
