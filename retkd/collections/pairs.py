"""Tables of (query, document) pairs, the common shape of training sets on the hub, as documents, queries and qrels."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from pydantic import Field

from retkd.collections.base import Document, Query
from retkd.collections.beir_folder import write_documents, write_qrels, write_queries
from retkd.collections.cells import text_cell
from retkd.collections.tables import Table


class PairTable(Table):
    """One row: a query, a document that answers it, and perhaps documents that do not."""

    query: str = Field(default="query", description="the column of queries")
    document: str = Field(default="answer", description="the column of documents that answer")
    negatives: tuple[str, ...] = Field(
        default=(), description="columns of texts (or lists of texts) that only join the corpus; they get no judgement"
    )


def write_pairs(tables: Mapping[str, PairTable], folder: Path) -> None:
    """Write a BEIR folder. Ids are the first 20 hex digits of the SHA-256 of the text, so equal texts are one.

    The tables are read once for each of the three parts; only the ids are held in memory.
    """
    documents = (text for table in tables.values() for text in _documents(table))
    write_documents(folder, (Document(key, text) for key, text in _each_once(documents)))
    queries = (query for table in tables.values() for query, _ in _pairs(table))
    write_queries(folder, (Query(key, text) for key, text in _each_once(queries)))
    write_qrels(folder, {split: _judgements(table) for split, table in tables.items()})


def text_id(text: str) -> str:
    """The id of a text that has none."""
    return sha256(text.encode()).hexdigest()[:20]


def _pairs(table: PairTable) -> Iterator[tuple[str, str]]:
    for where, (query, document) in table.rows([table.query, table.document]):
        yield text_cell(query, where, table.query), text_cell(document, where, table.document)


def _documents(table: PairTable) -> Iterator[str]:
    columns = [table.document, *table.negatives]
    for where, cells in table.rows(columns):
        for column, cell in zip(columns, cells, strict=True):
            texts = cell if isinstance(cell, list) else [cell]
            yield from (text_cell(text, where, column) for text in texts)


def _judgements(table: PairTable) -> Iterator[tuple[str, str, int]]:
    rows = ((text_id(query), text_id(document)) for query, document in _pairs(table))
    return ((query_id, doc_id, 1) for query_id, doc_id in dict.fromkeys(rows))


def _each_once(texts: Iterator[str]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for text in texts:
        key = text_id(text)
        if key not in seen:
            seen.add(key)
            yield key, text
