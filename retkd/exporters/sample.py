"""The queries and documents on which an export is compared with its model."""

from dataclasses import dataclass
from hashlib import sha256
from itertools import islice

import numpy as np

from retkd.collections.base import Collection, Document
from retkd.errors import DataError

BLOCK = 100


@dataclass(frozen=True)
class Sample:
    """Texts by id, in a fixed order, and the judgements of these queries."""

    queries: dict[str, str]
    documents: dict[str, str]
    qrels: dict[str, dict[str, int]]

    def first(self, num: int | None) -> "Sample":
        """The first ``num`` queries, the documents judged for them and the first ``num`` documents; all for None."""
        if num is None:
            return self
        qrels = dict(islice(self.qrels.items(), num))
        kept = {*islice(self.documents, num), *(doc_id for judged in qrels.values() for doc_id in judged)}
        documents = {doc_id: text for doc_id, text in self.documents.items() if doc_id in kept}
        return Sample({query_id: self.queries[query_id] for query_id in qrels}, documents, qrels)


def sample(collection: Collection, split: str, max_queries: int, max_documents: int, seed: int) -> Sample:
    """Judged queries of a split, every document judged for them, and up to ``max_documents`` others.

    The queries are those with the smallest SHA-256 of their id. The other documents are all there are, or seeded
    blocks of neighbours, so that a big collection is not read from end to end. Raises :class:`DataError` when no query
    of the split is judged.
    """
    qrels = collection.qrels(split)
    judged = [query for query in collection.queries(split) if query.query_id in qrels]
    if not judged:
        raise DataError(
            f"the split {split} has no judged query to compare an export on",
            seen=f"{len(collection.queries(split)):,} queries, none judged",
            next_step=f"name another split in the export stage's `split`; there are {', '.join(collection.splits)}",
        )
    chosen = sorted(judged, key=lambda query: sha256(query.query_id.encode()).digest())[:max_queries]
    doc_ids = sorted({doc_id for query in chosen for doc_id in qrels[query.query_id]})
    documents = {d.doc_id: d.full_text for d in collection.documents_by_id(doc_ids)}
    documents |= {d.doc_id: d.full_text for d in _others(collection, max_documents, seed)}
    queries = {query.query_id: query.text for query in chosen}
    return Sample(queries, documents, {query_id: dict(qrels[query_id]) for query_id in queries})


def _others(collection: Collection, max_documents: int, seed: int) -> list[Document]:
    if collection.num_documents <= max_documents:
        return list(collection.documents())
    starts = np.arange(0, collection.num_documents, BLOCK)
    chosen = np.random.default_rng(seed).choice(starts, max(max_documents // BLOCK, 1), replace=False)
    return [document for start in sorted(chosen.tolist()) for document in collection.documents(start, start + BLOCK)]
