"""A collection whose documents and queries are read in the languages that :class:`Translations` tells, by shared ids."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING

from retkd.collections.base import Collection, Document, Query
from retkd.errors import DataError

if TYPE_CHECKING:
    from retkd.collections.translations import Translations


class TranslatedCollection(Collection):
    """``parts``: language -> its opened collection. Ids here are without the prefixes."""

    def __init__(self, config: "Translations", parts: dict[str, Collection]) -> None:
        super().__init__(config)
        self._told, self._parts = config, parts
        self._judged: dict[str, dict[str, dict[str, int]]] = {}
        self._asked: dict[tuple[str, str], list[Query]] = {}

    @cached_property
    def digest(self) -> str:
        """SHA-256 over what the languages hold that are read, and how they are joined."""
        told = self._told
        of = {name: [self._parts[name].digest, *self._ids_of(name)] for name in (*told.queries, *told.documents)}
        cut = None if told.cut is None else told.cut.model_dump(mode="json")
        lines = json.dumps([of, told.queries, told.documents, cut], sort_keys=True)
        return sha256(f"translations {lines}".encode()).hexdigest()

    @property
    def splits(self) -> tuple[str, ...]:
        """Those of the first query language, then SPLIT.LANGUAGE for each other one that has the split."""
        first, *others = self._told.queries
        own = self._splits_of(first)
        return (*own, *(f"{split}.{name}" for name in others for split in self._splits_of(name) if split in own))

    def _splits_of(self, language: str) -> tuple[str, ...]:
        splits, cut = self._parts[language].splits, self._told.cut
        if cut is None or cut.split not in splits:
            return splits
        return tuple(new for split in splits for new in (cut.shares if split == cut.split else [split]))

    @cached_property
    def num_documents(self) -> int:
        """Documents in the language that is read."""
        if not self._prefix(self._read):
            return self._parts[self._read].num_documents
        return sum(1 for _ in self.documents())

    def documents(self, start: int = 0, stop: int | None = None) -> Iterator[Document]:
        """Documents in the language that is read, in its own order. With a prefix, those before ``start`` are read over."""
        part, prefix = self._parts[self._read], self._prefix(self._read)
        if not prefix:
            return (self._as_read(document) for document in part.documents(start, stop))
        own = (document for document in part.documents() if document.doc_id.startswith(prefix))
        return (self._as_read(document) for document in islice(own, start, stop))

    def documents_by_id(self, doc_ids: Iterable[str]) -> Iterator[Document]:
        """The documents with these ids in the language that is read. Unknown ids raise :class:`DataError` naming them."""
        prefix = self._prefix(self._read)
        found = self._parts[self._read].documents_by_id([prefix + doc_id for doc_id in doc_ids])
        return (self._as_read(document) for document in found)

    def contains(self, doc_ids: Iterable[str]) -> list[bool]:
        """Whether the language that is read has them."""
        prefix = self._prefix(self._read)
        return self._parts[self._read].contains([prefix + doc_id for doc_id in doc_ids])

    def in_language(self, language: str) -> "TranslatedCollection":
        """The same with documents in one of the languages that ``documents`` names."""
        if language not in self._told.documents:
            raise DataError(
                f"the collection's documents are not read in {language!r}",
                where="collection.documents",
                seen=", ".join(self._told.documents),
                allowed=", ".join(self._told.languages),
                next_step=f"add {language} to `documents` of the collection or view that the stage reads",
            )
        return TranslatedCollection(self._told.model_copy(update={"documents": [language]}), self._parts)

    def all_queries(self, split: str) -> list[Query]:
        """Every query of a split, in the order of the first query language, in the language that the split names."""
        base, language = self._base_of(split)
        own = self._judged_in(base, self._own_queries(self._told.queries[0], base))
        if language == self._told.queries[0]:
            return own
        texts = {query.query_id: query for query in self._own_queries(language, base)}
        missing = [query.query_id for query in own if query.query_id not in texts]
        if missing:
            raise DataError(
                f"{len(missing):,} of the queries have no translation",
                where=f"split {split}, language {language}",
                seen=", ".join(repr(query_id) for query_id in missing[:5]),
                allowed=f"the ids of the {self._told.queries[0]} queries",
                next_step=f"leave {language} out of `queries`, or complete its query file",
            )
        return [texts[query.query_id] for query in own]

    def all_qrels(self, split: str) -> dict[str, dict[str, int]]:
        """The judgements of a split, the same for each language of its queries."""
        base, _ = self._base_of(split)
        judged = self._source_qrels(base)
        if self._told.cut is None or base not in self._told.cut.shares:
            return judged
        kept = {query.query_id for query in self._judged_in(base, self._own_queries(self._told.queries[0], base))}
        return {query_id: grades for query_id, grades in judged.items() if query_id in kept}

    def describe(self) -> dict[str, object]:
        """The counts, and which languages are read."""
        languages = {"queries": ", ".join(self._told.queries), "documents": ", ".join(self._told.documents)}
        return {**super().describe(), "languages": languages}

    @property
    def _read(self) -> str:
        return self._told.documents[0]

    def _prefix(self, language: str) -> str:
        return self._told.languages[language].prefix

    def _ids_of(self, language: str) -> list[str]:
        told = self._told.languages[language]
        return [told.prefix] if told.query_id_pattern is None else [told.prefix, told.query_id_pattern]

    def _as_read(self, document: Document) -> Document:
        return replace(document, doc_id=document.doc_id.removeprefix(self._prefix(self._read)), language=self._read)

    def _base_of(self, split: str) -> tuple[str, str]:
        """(the split of the first query language, the language) that a split's name stands for."""
        first, *others = self._told.queries
        for language in others:
            base = split.removesuffix(f".{language}")
            if base != split and base in self._splits_of(first):
                return base, language
        return split, first

    def _source(self, split: str) -> str:
        cut = self._told.cut
        return cut.split if cut is not None and split in cut.shares else split

    def _own_queries(self, language: str, split: str) -> list[Query]:
        """All queries of a language in the split as its collection has it, by shared ids."""
        source = self._source(split)
        if (language, source) not in self._asked:
            own = self._by_shared_id(language, source, self._parts[language].all_queries(source))
            self._asked[language, source] = [replace(q, query_id=key, language=language) for key, q in own.items()]
        return self._asked[language, source]

    def _by_shared_id(self, language: str, split: str, queries: list[Query]) -> dict[str, Query]:
        """Those of the language. None at all, and two with one id, raise :class:`DataError`."""
        found: dict[str, Query] = {}
        for query in queries:
            shared = self._told.languages[language].shared(query.query_id)
            if shared is None:
                continue
            if shared in found:
                raise DataError(
                    "two queries of one language get one id",
                    where=f"collection.languages.{language}",
                    seen=f"{found[shared].query_id!r} and {query.query_id!r} both become {shared!r}",
                    allowed="a `query_id_pattern` whose groups tell the queries of a language apart",
                    next_step="put what differs between them into a group",
                )
            found[shared] = query
        if not found:
            told = self._told.languages[language]
            key = "prefix" if told.query_id_pattern is None else "query_id_pattern"
            raise DataError(
                f"no query of the split {split!r} is of the language {language!r}",
                where=f"collection.languages.{language}.{key}",
                seen=f"{getattr(told, key)!r}, and {len(queries):,} queries such as {queries[0].query_id!r}",
                allowed="what the ids of the language's queries begin with (prefix), or match as a whole (query_id_pattern)",
                next_step="correct it, or give the language's own collection the file of its queries, by `qrels`",
            )
        return found

    def _judged_in(self, split: str, queries: list[Query]) -> list[Query]:
        """The queries that a cut gives to this split; all where nothing is cut."""
        cut = self._told.cut
        if cut is None or split not in cut.shares:
            return queries
        return cut.queries(split, queries, self._source_qrels(split))

    def _source_qrels(self, split: str) -> dict[str, dict[str, int]]:
        source = self._source(split)
        if source not in self._judged:
            first = self._told.queries[0]
            prefix = self._prefix(first)
            self._judged[source] = {
                shared: {doc_id.removeprefix(prefix): grade for doc_id, grade in grades.items()}
                for query_id, grades in self._parts[first].all_qrels(source).items()
                if (shared := self._told.languages[first].shared(query_id)) is not None
            }
        return self._judged[source]
