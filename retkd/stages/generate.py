"""Generate training queries for documents, where nobody has asked any: the first step of GPL."""

import heapq
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from retkd.generators import AnyGenerator
from retkd.stage import Inputs, Metrics, StageConfig

NAME = "generate"
VERSION = 1
SEEDED = True
VOLATILE: tuple[str, ...] = ()
OUTPUTS = ("queries",)


class Config(StageConfig):
    """Who writes how many queries for how many documents. A mine stage reads them with ``queries: STAGE``."""

    kind: Literal["generate"] = "generate"
    generator: AnyGenerator
    documents: int = Field(
        ge=1, description="how many documents get queries: those with the smallest SHA-256 of seed and id"
    )
    queries_per_document: int = Field(default=3, ge=1)


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Publish ``queries.jsonl`` and ``qrels/train.tsv``: each query with the document that it was made from, grade 1."""
    from retkd.collections.base import Query
    from retkd.collections.beir_folder import write_qrels, write_queries
    from retkd.errors import DataError

    documents = _chosen(config.documents, inputs)
    made = config.generator.generate(documents, config.queries_per_document, inputs)
    queries, rows = _numbered([document.doc_id for document in documents], made.queries)
    if not queries:
        raise DataError(
            "no query could be generated",
            seen=f"{len(documents):,} documents",
            next_step="look at the texts of the collection, or take another generator",
        )
    out.mkdir(parents=True, exist_ok=True)
    write_queries(out, [Query(query_id, text) for text, query_id in queries.items()])
    write_qrels(out, {"train": rows})
    without = sum(not found for found in made.queries)
    return Metrics(
        rows_in=len(documents),
        rows_out=len(queries),
        rows_dropped={"document without a query": without} if without else {},
        values={"queries": len(queries), "judgements": len(rows), **made.counts},
        timings=made.timings,
    )


def _chosen(num: int, inputs: Inputs) -> list[Any]:
    """Documents that have a text, in the collection's order."""
    ranked = (
        (sha256(f"{inputs.seed} {document.doc_id}".encode()).digest(), number, document)
        for number, document in enumerate(inputs.collection.documents())
        if document.full_text.strip()
    )
    return [document for _, _, document in sorted(heapq.nsmallest(num, ranked), key=lambda each: each[1])]


def _numbered(
    doc_ids: Sequence[str], queries: Sequence[Sequence[str]]
) -> tuple[dict[str, str], list[tuple[str, str, int]]]:
    """(text -> query id, judgements). A text that several documents have brought is one query with all of them as positives."""
    ids: dict[str, str] = {}
    rows: dict[tuple[str, str, int], None] = {}
    for doc_id, found in zip(doc_ids, queries, strict=True):
        for number, text in enumerate(found, 1):
            query_id = ids.setdefault(text, f"{doc_id}~{number}")
            rows[(query_id, doc_id, 1)] = None
    return ids, list(rows)
