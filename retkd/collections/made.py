"""A collection that is made from something else: written once into the cache as a BEIR folder, then read from there."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from retkd.collections.base import Collection, CollectionConfig, Document, Query
from retkd.collections.cache_folder import published, read_json
from retkd.collections.local import LocalCollection, SplitFiles

COUNTS = "counts.json"
"""A file of the made folder: what :meth:`MadeConfig.make` counted, shown by ``describe``."""


class MadeConfig(CollectionConfig):
    """Base of collections that are made. Subclasses say how, and what the result's digest will be."""

    made_from: ClassVar[str]

    @abstractmethod
    def content_digest(self, cache: Path) -> str:
        """SHA-256 of all that decides what :meth:`make` writes; found without making it."""

    @abstractmethod
    def split_names(self) -> tuple[str, ...]:
        """The splits that :meth:`make` writes."""

    @abstractmethod
    def make(self, folder: Path) -> None:
        """Write the BEIR folder. The same digest gives the same bytes."""

    def open(self, cache: Path) -> "MadeCollection":
        """The collection; nothing is made before the first document or query is read."""
        return MadeCollection(self, cache)


class MadeCollection(Collection):
    """Documents and queries of the folder that the configuration makes, under ``cache/made/KIND-DIGEST``."""

    def __init__(self, config: MadeConfig, cache: Path) -> None:
        super().__init__(config)
        self._made, self._cache = config, cache

    @cached_property
    def digest(self) -> str:
        """Digest of the sources and of the rules; the folder need not be made for it."""
        return self._made.content_digest(self._cache)

    @cached_property
    def folder(self) -> Path:
        """The BEIR folder. The first call makes it."""
        target = self._cache / "made" / f"{self._made.made_from}-{self.digest[:16]}"
        return published(target, self._made.make)

    @cached_property
    def _local(self) -> LocalCollection:
        corpus, queries = self.folder / "corpus.jsonl", self.folder / "queries.jsonl"
        files = {split: SplitFiles(queries, self.folder / "qrels" / f"{split}.tsv") for split in self.splits}
        return LocalCollection(self.config, self._cache, corpus, "jsonl", files)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are made."""
        return self._made.split_names()

    @property
    def num_documents(self) -> int:
        """Documents that were kept."""
        return self._local.num_documents

    def documents(self, start: int = 0, stop: int | None = None) -> Iterator[Document]:
        """Documents in the order in which they were made."""
        return self._local.documents(start, stop)

    def documents_by_id(self, doc_ids: Iterable[str]) -> Iterator[Document]:
        """The documents with these ids, in this order. Unknown ids raise :class:`DataError` naming them."""
        return self._local.documents_by_id(doc_ids)

    def contains(self, doc_ids: Iterable[str]) -> list[bool]:
        """As the made file says."""
        return self._local.contains(doc_ids)

    def all_queries(self, split: str) -> list[Query]:
        """Every query of a split."""
        return self._local.all_queries(split)

    def all_qrels(self, split: str) -> dict[str, dict[str, int]]:
        """The judgements of a split."""
        return self._local.all_qrels(split)

    def describe(self) -> dict[str, object]:
        """The counts of the folder, and what was left out while it was made."""
        return {**self._local.describe(), **(read_json(self.folder / COUNTS) or {})}
