"""Variants of the training queries that people have asked: what both ways of making them share."""

from collections.abc import Sequence

from pydantic import Field

from retkd.collections.base import Collection, Document
from retkd.errors import DataError
from retkd.generators.base import Generated, Generator
from retkd.stage import Inputs


class Augmented(Generator):
    """The judged queries of train with variants of each, as queries of the documents that are relevant to them.

    A variant inherits its query's document as a label; let a teacher score its candidates rather than trust that. Queries
    without a positive have no place here. A subclass makes the variants.
    """

    keep_originals: bool = Field(default=True, description="whether each query itself stays, before its variants")

    def generate(self, documents: Sequence[Document], num_queries: int, inputs: Inputs) -> Generated:
        """At most ``num_queries`` variants of each query of each document; a document that nobody asked for gets none."""
        asked = asked_by_document(inputs.collection)
        queries = list(dict.fromkeys(query for document in documents for query in asked.get(document.doc_id, [])))
        variants = dict(zip(queries, self.variants(queries, num_queries, inputs), strict=True))
        made = [
            [
                text
                for query in asked.get(document.doc_id, [])
                for text in ([query] if self.keep_originals else []) + variants[query]
            ]
            for document in documents
        ]
        counts = {"original queries": len(queries), "variants": sum(map(len, variants.values()))}
        return Generated([list(dict.fromkeys(texts)) for texts in made], counts)

    def variants(self, queries: Sequence[str], num: int, inputs: Inputs) -> list[list[str]]:
        """At most ``num`` distinct texts per query, none of them the query itself; the same for the same seed."""
        raise NotImplementedError


def asked_by_document(collection: Collection) -> dict[str, list[str]]:
    """doc_id -> the texts of the train queries that it is relevant to. Raises :class:`DataError` where there are none."""
    known = "train" in collection.splits
    texts = {query.query_id: query.text for query in collection.queries("train")} if known else {}
    asked: dict[str, list[str]] = {}
    for query_id, judged in (collection.qrels("train") if known else {}).items():
        for doc_id, grade in judged.items():
            if grade > 0:
                asked.setdefault(doc_id, []).append(texts[query_id])
    if not asked:
        raise DataError(
            "there are no training queries to make variants of",
            seen=f"splits: {', '.join(collection.splits)}",
            allowed="a collection with judged queries in its split train",
            next_step="take a generator that reads documents: {kind: llm, ...} or {kind: extract}",
        )
    return asked
