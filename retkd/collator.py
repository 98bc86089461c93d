"""Examples to a batch: every document tokenised once, sorted by length, padded chunk by chunk."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from retkd.batch import Batch, Example
from retkd.encoder import Encoder

SMALLEST_CHUNK = 8
SHORTEST_SHARE = 0.75


@dataclass(frozen=True)
class Collator:
    """Callable for a data loader: a list of :class:`Example` to ``{"batch": Batch}``."""

    encoder: Encoder

    def __call__(self, examples: Sequence[Example]) -> dict[str, Batch]:
        """The batch of these examples."""
        texts = {doc_id: text for e in examples for doc_id, text in zip(e.doc_ids, e.documents, strict=True)}
        columns = self.encoder.tokenize(list(texts.values()), "document")
        lengths = np.array([len(row) for row in columns["input_ids"]])
        order = np.argsort(-lengths, kind="stable")
        doc_ids = tuple(np.array(list(texts), dtype=object)[order])
        documents = tuple(
            self.encoder.features(
                {name: [column[i] for i in order[start:stop]] for name, column in columns.items()}, "document"
            )
            for start, stop in chunks(lengths[order])
        )
        query_columns = self.encoder.tokenize([e.query for e in examples], "query")
        queries = self.encoder.features(query_columns, "query")
        return {"batch": lists(examples, doc_ids, queries, documents)}


def lists(examples: Sequence[Example], doc_ids: tuple[str, ...], queries: dict, documents: tuple) -> Batch:  # type: ignore[type-arg]
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
    return Batch(ids, doc_ids, queries, documents, candidates, mask, relevance, positives, teachers)


def chunks(lengths: np.ndarray) -> list[tuple[int, int]]:
    """(start, stop) of runs in descending ``lengths`` (tokens) in which the shortest is not much shorter.

    >>> chunks(np.array([100] * 8 + [50] * 8 + [49] * 2))
    [(0, 8), (8, 18)]
    """
    found, start = [], 0
    for position in range(1, len(lengths) + 1):
        ends = position == len(lengths)
        long_enough = position - start >= SMALLEST_CHUNK and len(lengths) - position >= SMALLEST_CHUNK
        if ends or (long_enough and lengths[position] < SHORTEST_SHARE * lengths[start]):
            found.append((start, position))
            start = position
    return found
