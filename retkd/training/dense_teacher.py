"""An encoder as teacher of whole batches: its vectors of the corpus and of a split's queries, multiplied as needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from retkd import processes
from retkd.encoders.encoder import Encoder
from retkd.encoders.vectors import corpus_vectors
from retkd.shards import atomic
from retkd.stage import Inputs

if TYPE_CHECKING:
    from retkd.training.stored_terms import TermRows


@dataclass(frozen=True)
class DenseTeacher:
    """``documents`` is a memory map ``[document, dim]``, or gives such rows; ``queries`` ``[query, dim]``; rows are found by id.

    ``queries`` is None of an encoder whose stored documents alone are read.
    """

    documents: "np.ndarray | TermRows"
    queries: np.ndarray | None
    document_row: dict[str, int]
    query_row: dict[str, int]

    def query_vectors(self, query_ids: Sequence[str]) -> Float[Tensor, "query dim"]:
        """Those of the queries."""
        assert self.queries is not None
        return torch.from_numpy(self.queries[[self.query_row[query_id] for query_id in query_ids]])

    def document_vectors(self, doc_ids: Sequence[str]) -> Float[Tensor, "doc dim"]:
        """Those of the documents."""
        return torch.from_numpy(self.documents[[self.document_row[doc_id] for doc_id in doc_ids]])

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return int(self.documents.shape[1])


def dense_teacher(
    ref: str, split: str, inputs: Inputs, device: str, work: Path, *, reads_queries: bool = True
) -> DenseTeacher:
    """The teacher that a model of the recipe makes. Corpus vectors come from the store, query vectors lie in ``work``."""
    model, runtime = inputs.models[ref], inputs.runtime
    encoder = Encoder.load(model.path, device)
    corpus = corpus_vectors(encoder, model, inputs.collection, inputs.store, runtime)
    queries = inputs.collection.queries(split) if reads_queries else []
    path = work / f"queries-{model.digest[:12]}.npy"
    if reads_queries and not path.exists():
        vectors = encoder.encode([query.text for query in queries], "query", runtime.tokens_per_batch)
        with atomic(path) as temporary, temporary.open("wb") as out:
            np.save(out, vectors)
    return DenseTeacher(
        documents=corpus.vectors,
        queries=np.load(path) if reads_queries else None,
        document_row={doc_id: row for row, doc_id in enumerate(corpus.doc_ids)},
        query_row={query.query_id: row for row, query in enumerate(queries)},
    )


def vectors_read(objective: Sequence[Any]) -> frozenset[str]:
    """The encoders whose vectors the terms read, which a batch brings beside their scores."""
    return frozenset(ref for term in objective if term.reads_vectors for ref in term.encoders)


def dense_teachers(
    objective: Sequence[Any], split: str, inputs: Inputs, device: str, work: Path, stored_documents: str | None = None
) -> dict[str, DenseTeacher]:
    """The teachers of whole batches that the terms name, each once, and the encoder of a student's stored documents; not
    those whose layers alone are read. Of several processes the first encodes.
    """
    named = {ref for term in objective if term.reads_vectors or not term.reads_layers for ref in term.encoders}
    refs = sorted(named | ({stored_documents} if stored_documents is not None else set()))
    with processes.first_goes_ahead():
        return {ref: dense_teacher(ref, split, inputs, device, work, reads_queries=ref in named) for ref in refs}
