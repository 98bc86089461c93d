"""Datasets of the Hugging Face hub or local parquet files, with their columns mapped in the recipe."""

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from retkd.collections.base import Document, Query
from retkd.collections.beir_folder import write_documents, write_qrels, write_queries
from retkd.collections.cells import grade_cell, id_cell, string_cell
from retkd.collections.made import MadeConfig
from retkd.collections.pairs import PairTable, write_pairs
from retkd.collections.tables import Table

VERSION = 1
"""Of the rules by which rows become documents; part of the digest."""


class DocumentTable(Table):
    """Documents; the defaults are BEIR's columns."""

    id: str = "_id"
    text: str = "text"
    title: str | None = Field(default=None, description="the column of titles, where there is one")


class QueryTable(Table):
    """Queries; the defaults are BEIR's columns."""

    id: str = "_id"
    text: str = "text"


class QrelsTable(Table):
    """Judgements; the defaults are BEIR's columns."""

    query_id: str = "query-id"
    doc_id: str = "corpus-id"
    score: str | None = Field(default="score", description="the column of grades; null: each row is grade 1")


class HuggingFace(MadeConfig):
    """``corpus``, ``queries`` and ``qrels`` per split, or ``pairs`` per split: a text and a text that answers it.

    The rows are written once into the cache as a BEIR folder, which takes as much disk again. With ``pairs`` ids are
    hashes of the texts, so equal texts are one document, and each pair is a judgement of grade 1.
    """

    kind: Literal["huggingface"] = "huggingface"
    made_from: ClassVar[str] = "huggingface"
    corpus: DocumentTable | None = None
    queries: QueryTable | None = None
    qrels: dict[str, QrelsTable] = {}
    pairs: dict[str, PairTable] = {}

    @model_validator(mode="after")
    def _one_shape(self) -> "HuggingFace":
        parts = (self.corpus is not None, self.queries is not None, bool(self.qrels))
        if any(parts) if self.pairs else not all(parts):
            raise ValueError("give corpus, queries and qrels (split -> table), or pairs (split -> table) alone")
        return self

    @property
    def title(self) -> str:
        """The name on the hub; of local tables the kind."""
        return next((table.name for table in self._tables() if table.name), self.kind)

    def content_digest(self, cache: Path) -> str:
        """SHA-256 over the mapping and the local files' content, or the hub's name and commit; downloads nothing."""
        each = {"__all__": {"path"}}
        unnamed = {"sample": True, "corpus": {"path"}, "queries": {"path"}, "qrels": each, "pairs": each}
        mapping = self.model_dump(mode="json", exclude=unnamed)  # type: ignore[arg-type]
        contents = [table.content(cache) for table in self._tables()]
        return sha256(json.dumps([VERSION, mapping, contents], sort_keys=True).encode()).hexdigest()

    def split_names(self) -> tuple[str, ...]:
        """The keys of ``qrels`` or ``pairs``."""
        return tuple(self.qrels or self.pairs)

    def make(self, folder: Path) -> None:
        """Read the tables and write the BEIR folder."""
        if self.pairs:
            write_pairs(self.pairs, folder)
            return
        assert self.corpus is not None, "the validator holds this"
        assert self.queries is not None, "the validator holds this"
        write_documents(folder, _documents(self.corpus))
        write_queries(folder, _queries(self.queries))
        write_qrels(folder, {split: _judgements(table) for split, table in self.qrels.items()})

    def _tables(self) -> Sequence[Table]:
        tables: list[Table | None] = [self.corpus, self.queries, *self.qrels.values(), *self.pairs.values()]
        return [table for table in tables if table is not None]


def _documents(table: DocumentTable) -> Iterator[Document]:
    columns = [table.id, table.text, *([table.title] if table.title else [])]
    for where, (doc_id, text, *title) in table.rows(columns):
        shown_title = string_cell(title[0], where, str(table.title)) if title and title[0] is not None else ""
        yield Document(id_cell(doc_id, where, table.id), string_cell(text, where, table.text), shown_title)


def _queries(table: QueryTable) -> Iterator[Query]:
    for where, (query_id, text) in table.rows([table.id, table.text]):
        yield Query(id_cell(query_id, where, table.id), string_cell(text, where, table.text))


def _judgements(table: QrelsTable) -> Iterator[tuple[str, str, int]]:
    columns = [table.query_id, table.doc_id, *([table.score] if table.score else [])]
    for where, (query_id, doc_id, *grade) in table.rows(columns):
        judged = grade_cell(grade[0], where, str(table.score)) if grade else 1
        yield id_cell(query_id, where, table.query_id), id_cell(doc_id, where, table.doc_id), judged
