"""Examples to a batch: every document tokenised once, sorted by length, padded chunk by chunk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch

from retkd import processes
from retkd.batch import Batch, Example, Features
from retkd.batching import PASS_COST, pass_limits
from retkd.encoders.encoder import Side
from retkd.training.dense_teacher import DenseTeacher


class Reader(Protocol):
    """What tokenises queries and documents for its ``model``, which knows its device: an encoder, a matcher of tokens."""

    @property
    def model(self) -> Any: ...

    def tokenize(self, texts: Sequence[str], side: Side) -> dict[str, list[list[int]]]: ...

    def features(self, columns: dict[str, list[list[int]]], side: Side) -> Features: ...


@dataclass(frozen=True)
class Collator:
    """Callable for a data loader: a list of :class:`Example` to ``{"batch": Batch}``.

    ``with_vectors``: the teachers whose vectors the batch brings beside their scores. ``shares``: among how many processes
    each chunk will be divided, so that what one of them gets is a pass of the right size. With ``stored_documents`` the
    documents are not read: the student takes their vectors from the store.
    """

    encoder: Reader
    teachers: Mapping[str, DenseTeacher] = field(default_factory=dict)
    with_vectors: frozenset[str] = frozenset()
    shares: int = field(default_factory=processes.count)
    stored_documents: bool = False

    def __call__(self, examples: Sequence[Example]) -> dict[str, Batch]:
        """The batch of these examples."""
        texts = {doc_id: text for e in examples for doc_id, text in zip(e.doc_ids, e.documents, strict=True)}
        doc_ids, documents = (tuple(texts), ()) if self.stored_documents else self._chunked(texts)
        query_columns = self.encoder.tokenize([e.query for e in examples], "query")
        queries = self.encoder.features(query_columns, "query")
        batch = lists(examples, doc_ids, queries, documents)
        asked = {
            n: each.query_vectors(batch.query_ids) for n, each in self.teachers.items() if each.queries is not None
        }
        taught = {name: teacher.document_vectors(doc_ids) for name, teacher in self.teachers.items()}
        return {
            "batch": replace(
                batch,
                in_batch_teachers={name: vectors @ taught[name].T for name, vectors in asked.items()},
                teacher_queries={name: vectors for name, vectors in asked.items() if name in self.with_vectors},
                teacher_documents={name: vectors for name, vectors in taught.items() if name in self.with_vectors},
            )
        }

    def _chunked(self, texts: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[Features, ...]]:
        """Document ids, longest first, and the documents in that order, chunk by chunk."""
        columns = self.encoder.tokenize(list(texts.values()), "document")
        lengths = np.array([len(row) for row in columns["input_ids"]])
        order = np.argsort(-lengths, kind="stable")
        cost, most = pass_limits(self.encoder.model.device.type)
        documents = tuple(
            self.encoder.features(
                {name: [column[i] for i in order[start:stop]] for name, column in columns.items()}, "document"
            )
            for start, stop in chunks(lengths[order], cost * self.shares, most and most * self.shares)
        )
        return tuple(np.array(list(texts), dtype=object)[order]), documents


def lists(
    examples: Sequence[Example], doc_ids: tuple[str, ...], queries: Features, documents: tuple[Features, ...]
) -> Batch:
    """The batch around tokenised texts: index, mask, relevance and teacher scores, all ``[query, cand]``."""
    row_of = {doc_id: row for row, doc_id in enumerate(doc_ids)}
    shape = (len(examples), max(len(e.doc_ids) for e in examples))
    candidates, relevance = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
    mask = torch.zeros(shape, dtype=torch.bool)
    positives = torch.zeros((len(examples), len(doc_ids)), dtype=torch.bool)
    teachers = {name: torch.zeros(shape) for name in examples[0].teachers}
    for q, example in enumerate(examples):
        width = len(example.doc_ids)
        candidates[q, :width] = torch.tensor([row_of[doc_id] for doc_id in example.doc_ids])
        relevance[q, :width] = torch.tensor(example.relevance)
        mask[q, :width] = True
        for name, scores in example.teachers.items():
            teachers[name][q, :width] = torch.tensor(scores)
        for doc_id in example.all_positives & row_of.keys():
            positives[q, row_of[doc_id]] = True
    ids = tuple(e.query_id for e in examples)
    batch = Batch(ids, doc_ids, queries, documents, candidates, mask, relevance, positives, teachers)
    return batch if examples[0].num_variants == 1 else with_variants(batch, examples)


def with_variants(batch: Batch, examples: Sequence[Example]) -> Batch:
    """The batch with the place of each passage in each language among its query's candidates."""
    num = examples[0].num_variants
    widths = torch.tensor([len(e.doc_ids) // num for e in examples])
    passages = torch.arange(int(widths.max()))
    mask = passages < widths[:, None]
    places = torch.arange(num)[None, :, None] * widths[:, None, None] + passages
    return replace(batch, variants=places.masked_fill(~mask[:, None], 0), variant_mask=mask)


def chunks(lengths: np.ndarray, cost: int = PASS_COST, most_tokens: int | None = None) -> list[tuple[int, int]]:
    """(start, stop) of the runs in descending ``lengths`` whose padded tokens and passes cost least together.

    Each run is one pass through the model, which costs ``cost`` tokens whatever its size. ``most_tokens`` bounds the
    padded tokens of a run: on a CPU larger buffers are slower, not faster.

    >>> chunks(np.array([100] * 8 + [50] * 8 + [49] * 2))
    [(0, 8), (8, 18)]
    """
    least, begin = np.zeros(len(lengths) + 1), np.zeros(len(lengths) + 1, dtype=np.int64)
    for stop in range(1, len(lengths) + 1):
        tokens = lengths[:stop] * (stop - np.arange(stop))
        costs = least[:stop] + tokens + cost
        if most_tokens is not None:
            costs[:-1][tokens[:-1] > most_tokens] = np.inf
        begin[stop] = np.argmin(costs)
        least[stop] = costs[begin[stop]]
    found, stop = [], len(lengths)
    while stop:
        found.append((int(begin[stop]), stop))
        stop = int(begin[stop])
    return found[::-1]
