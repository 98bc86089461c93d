"""A collection in local files: one corpus file, and per split a query file and a qrels file."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from retkd.collections.base import Collection, CollectionConfig, Document, Query
from retkd.collections.document_store import DocumentStore, opened_store
from retkd.collections.file_digest import file_digests
from retkd.collections.lines import plain
from retkd.collections.qrels_file import read_qrels
from retkd.collections.query_file import read_queries
from retkd.collections.records import Form, QueryRecord
from retkd.errors import DataError


@dataclass(frozen=True)
class SplitFiles:
    """Where a split's queries and judgements are.

    Its queries are those that the qrels file names and those that the query file labels with ``label``; with
    ``judged_only=False`` all of the query file.
    """

    queries: Path
    qrels: Path | None
    label: str | None = None
    judged_only: bool = True


class LocalCollection(Collection):
    """Opening it reads nothing; the first digest reads the files, the first document indexes the corpus."""

    def __init__(
        self,
        config: CollectionConfig,
        cache: Path,
        corpus: Path,
        form: Form,
        files: Mapping[str, SplitFiles],
        id_language: str | None = None,
    ) -> None:
        super().__init__(config)
        self._id_language = None if id_language is None else re.compile(id_language)
        self._cache, self._corpus, self._form, self._files = cache, corpus, form, dict(files)
        self._read: dict[Path, dict[str, QueryRecord]] = {}
        self._judged: dict[str, dict[str, dict[str, int]]] = {}

    @cached_property
    def digest(self) -> str:
        """SHA-256 over what each file holds and which part it plays; .gz and plain files give the same."""
        parts = [f"{part} {self._digests[path]}" for part, path in self._parts()]
        parts += [f"all queries of {split}" for split, files in self._files.items() if not files.judged_only]
        parts += [f"language {self._id_language.pattern}"] if self._id_language is not None else []
        return sha256("\n".join(sorted(parts)).encode()).hexdigest()

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits, in the order of the configuration or of the file names."""
        return tuple(self._files)

    @property
    def num_documents(self) -> int:
        """Documents of the corpus file. The first call indexes it."""
        return self.store.num_documents

    @cached_property
    def store(self) -> DocumentStore:
        """The documents, by number and by id."""
        digest = self._digests[self._corpus]
        return opened_store(plain(self._corpus, digest, self._cache), self._form, digest, self._cache, self._corpus)

    def documents(self, start: int = 0, stop: int | None = None) -> Iterator[Document]:
        """Documents in the order of the file; seeks to ``start``, then streams."""
        return self._told(self.store.documents(start, stop))

    def documents_by_id(self, doc_ids: Iterable[str]) -> Iterator[Document]:
        """The documents with these ids, in this order. Unknown ids raise :class:`DataError` naming them."""
        return self._told(self.store.by_id(doc_ids))

    def _told(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents with the languages that their ids name, where ids do."""
        if self._id_language is None:
            return documents
        return (replace(each, language=each.language or self._language_in(each.doc_id)) for each in documents)

    def _language_in(self, name: str) -> str | None:
        found = self._id_language.search(name) if self._id_language is not None else None
        return found[1] if found else None

    def contains(self, doc_ids: Iterable[str]) -> list[bool]:
        """By the hashes of the index, without reading documents."""
        return [bool(known) for known in self.store.contains(doc_ids)]

    def all_queries(self, split: str) -> list[Query]:
        """Every query of a split, in the order of its file. Raises :class:`DataError` when there is none."""
        files, records = self._files[split], self._records(split)
        judged = self.all_qrels(split) if files.judged_only else records
        label = files.label
        kept = [r.query for key, r in records.items() if key in judged or (label is not None and r.split == label)]
        if not kept:
            raise DataError(
                f"the split {split!r} has no queries",
                where=files.queries,
                seen=f"{len(records)} queries, {len(judged)} of them judged in {files.qrels}",
                allowed="at least one query that is judged" + (f' or has "split": "{label}"' if label else ""),
                next_step="check that the files belong together",
            )
        if self._id_language is None:
            return kept
        return [replace(query, language=query.language or self._language_in(query.query_id)) for query in kept]

    def all_qrels(self, split: str) -> dict[str, dict[str, int]]:
        """The judgements of a split, checked against the queries and the documents when first read."""
        if split not in self._judged:
            qrels, records = self._files[split].qrels, self._records(split)
            self._judged[split] = {} if qrels is None else read_qrels(qrels, records, self.store.contains)
        return self._judged[split]

    def describe(self) -> dict[str, object]:
        """Documents, those of them without text, queries and judgements per split."""
        judgements = {split: sum(map(len, self.qrels(split).values())) for split in self.splits}
        empty = {"documents without text": self.store.num_empty}
        return {**super().describe(), **empty, "judgements": judgements}

    def _records(self, split: str) -> dict[str, QueryRecord]:
        path = self._files[split].queries
        if path not in self._read:
            form: Form = "jsonl" if ".jsonl" in path.suffixes else "tsv"
            self._read[path] = read_queries(path, form)
        return self._read[path]

    @cached_property
    def _digests(self) -> dict[Path, str]:
        paths = list(dict.fromkeys(path for _, path in self._parts()))
        return dict(zip(paths, file_digests(paths, self._cache), strict=True))

    def _parts(self) -> Iterator[tuple[str, Path]]:
        yield "corpus", self._corpus
        for split, files in self._files.items():
            yield f"queries {files.label} {split}", files.queries
            if files.qrels is not None:
                yield f"qrels {split}", files.qrels
