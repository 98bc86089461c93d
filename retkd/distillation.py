"""The module that the trainer sees: an encoder and a weighted objective; a batch in, the loss and its terms out."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from retkd.batch import Batch, Features, ScoredBatch
from retkd.companion import Companion
from retkd.encoder import Encoder
from retkd.layer_term import LayerReading, LayerTerm
from retkd.objectives.base import Objective, Training
from retkd.passes import Passes
from retkd.students.scoring import in_batch_scores, own_scores


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
    ) -> None:
        super().__init__()
        self.encoder = encoder.model
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

    def score(self, batch: Batch, progress: float = 0.0) -> ScoredBatch:
        """The student's scores of the batch, in float32 also where the encoder runs in half precision.

        Near 1 the bfloat16 numbers are 0.004 apart: at a temperature of 0.05 that is 0.08 in the logit.
        """
        texts = [batch.queries, *batch.documents]
        if self.objective.reading:
            features = looked_up(self.word_embeddings, texts)
            read = LayerReading(self.encoder[0].auto_model, self.teachers, self.objective.reading, progress)
            vectors = [read.vectors(self.vectors, *both) for both in zip(features, texts, strict=True)]
            return replace(scored(batch, vectors, progress), parts=read.parts)
        return scored(batch, self.passes.through(self.encode, texts), progress)

    def encode(self, chunks: Sequence[Features]) -> list[Tensor]:
        """``[text, dim]`` of each chunk, with gradient."""
        return [self.vectors(chunk) for chunk in looked_up(self.word_embeddings, chunks)]

    def vectors(self, features: Features) -> Tensor:
        """``[text, dim]`` with gradient."""
        vectors: Tensor = self.encoder(dict(features))["sentence_embedding"]
        return vectors

    @property
    def word_embeddings(self) -> nn.Module | None:
        """The table of word embeddings, of a transformer that can be given their vectors; else None."""
        model = getattr(self.encoder[0], "auto_model", None)
        if model is None or "inputs_embeds" not in inspect.signature(model.forward).parameters:
            return None
        return model.get_input_embeddings()  # type: ignore[no-any-return]


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


class WeightedObjective(nn.Module):
    """The terms of an objective bound to one training. Those with parameters or state of their own are its submodules."""

    def __init__(self, objective: Sequence[Objective], training: Training) -> None:
        super().__init__()
        self.weights = [term.weight for term in objective]
        self.labels = labels([term.kind for term in objective])  # type: ignore[attr-defined]
        self.terms: list[Any] = [term.bind(training) for term in objective]
        self.trained = nn.ModuleList([term for term in self.terms if isinstance(term, nn.Module)])
        self.reading = [term for term in self.terms if isinstance(term, LayerTerm)]

    def forward(self, scored: ScoredBatch) -> dict[str, Tensor]:
        """``loss``, the weighted sum of the terms, and, detached, each unweighted term under its label and what it tells."""
        told = self.told()
        values = [term(scored) for term in self.terms]
        loss = torch.stack([weight * value for weight, value in zip(self.weights, values, strict=True)]).sum()
        return {"loss": loss, **{name: value.detach() for name, value in zip(self.labels, values, strict=True)}, **told}

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
