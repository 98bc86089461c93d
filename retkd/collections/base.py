"""Documents, queries and judgements, streaming and by id."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from pydantic import Field, PositiveInt

from retkd.errors import DataError, RecipeError, did_you_mean
from retkd.parts import Part

Qrels = Mapping[str, Mapping[str, int]]
"""query_id -> doc_id -> grade. An absent pair is unjudged, which is not grade 0."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document. ``full_text`` is what encoders and BM25 read; ``language``, where it is told, a short code such as ``de``."""

    doc_id: str
    text: str
    title: str = ""
    language: str | None = None

    @property
    def full_text(self) -> str:
        """Title and text joined by one space; the text alone when there is no title."""
        return f"{self.title} {self.text}" if self.title else self.text


@dataclass(frozen=True, slots=True)
class Query:
    """One query; ``language`` as in a document."""

    query_id: str
    text: str
    language: str | None = None


class CollectionConfig(Part):
    """Base of the ``collection`` block. ``open`` gives the collection; ``cache`` is a folder it may fill."""

    sample: dict[str, PositiveInt] = Field(
        default={}, description="split -> how many of its queries to use: those with the smallest SHA-256 of their id"
    )

    @property
    def title(self) -> str:
        """What a model card calls the collection."""
        return str(getattr(self, "kind", "collection"))

    def open(self, cache: Path) -> "Collection":
        """The collection that this configuration names."""
        raise NotImplementedError


class Collection(ABC):
    """Documents and queries with string ids. Subclasses fill in the five abstract members."""

    def __init__(self, config: CollectionConfig) -> None:
        self.config = config

    @property
    @abstractmethod
    def digest(self) -> str:
        """SHA-256 of the content (not of names or paths), found without reading documents one by one if possible."""

    @property
    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that have queries."""

    @property
    @abstractmethod
    def num_documents(self) -> int:
        """How many documents there are."""

    @abstractmethod
    def documents(self, start: int = 0, stop: int | None = None) -> Iterator[Document]:
        """Documents number ``start`` to ``stop`` (exclusive) in the collection's own, fixed order, streaming."""

    @abstractmethod
    def documents_by_id(self, doc_ids: Iterable[str]) -> Iterator[Document]:
        """The documents with these ids, in this order. Unknown ids raise :class:`DataError` naming them."""

    def contains(self, doc_ids: Iterable[str]) -> list[bool]:
        """For each id, whether a document has it. Here by reading all documents; a collection that can look up does."""
        wanted = list(doc_ids)
        missing = set(wanted)
        for document in self.documents():
            missing.discard(document.doc_id)
        return [doc_id not in missing for doc_id in wanted]

    def in_language(self, language: str) -> "Collection":
        """The same documents by the same ids, in another of the languages that the collection has them in."""
        raise DataError(
            "the collection has each document in one language alone",
            where=f"collection of kind {getattr(self.config, 'kind', '')}",
            seen=language,
            allowed="a collection of kind translations",
            next_step="join the collections of the languages: collection: {kind: translations, languages: {...}}",
        )

    @abstractmethod
    def all_queries(self, split: str) -> list[Query]:
        """Every query of a split, in the collection's order."""

    @abstractmethod
    def all_qrels(self, split: str) -> dict[str, dict[str, int]]:
        """The judgements of a split."""

    def queries(self, split: str) -> list[Query]:
        """The queries of a split, after ``sample``, in the collection's order."""
        queries = self.all_queries(self._known(split))
        limit = self.config.sample.get(split)
        if limit is None or limit >= len(queries):
            return queries
        kept = sorted(queries, key=lambda q: sha256(q.query_id.encode()).digest())[:limit]
        kept_ids = {q.query_id for q in kept}
        return [q for q in queries if q.query_id in kept_ids]

    def qrels(self, split: str) -> dict[str, dict[str, int]]:
        """The judgements of the queries that :meth:`queries` gives. A query without judgements is absent."""
        qrels = self.all_qrels(self._known(split))
        return {q.query_id: qrels[q.query_id] for q in self.queries(split) if q.query_id in qrels}

    def describe(self) -> dict[str, object]:
        """Counts that the report shows: what was kept and what was dropped, and why."""
        return {"documents": self.num_documents, "queries": {s: len(self.queries(s)) for s in self.splits}}

    @cached_property
    def all_splits_digest(self) -> str:
        """Content digest together with the sample, which changes what every stage sees. Unknown splits are refused."""
        for split in self.config.sample:
            self._known(split)
        sample = ",".join(f"{k}={v}" for k, v in sorted(self.config.sample.items()))
        return sha256(f"{self.digest}|{sample}".encode()).hexdigest()

    def _known(self, split: str) -> str:
        if split not in self.splits:
            raise DataError(
                f"the collection has no split {split!r}",
                seen=split,
                allowed=", ".join(self.splits),
                next_step=did_you_mean(split, self.splits),
            )
        return split


def require_splits(collection: Collection, named: Iterable[str], key: str) -> None:
    """Raise :class:`RecipeError` when a key of a stage names a split that is neither there nor one of train, dev, test.

    A recipe may speak of train where a transfer collection has none; a misspelt name is never passed over.
    """
    known = list(dict.fromkeys(["train", "dev", "test", *collection.splits]))
    for split in named:
        require_split(split, known, f"key {key}")


def require_split(split: str, known: Sequence[str], where: str) -> None:
    """Raise :class:`RecipeError` when what is written at ``where`` is none of the known splits."""
    if split not in known:
        raise RecipeError(
            f"the collection has no split {split!r}",
            where=where,
            seen=split,
            allowed=", ".join(known),
            next_step=did_you_mean(split, known),
        )


def chosen_splits(collection: Collection, splits: "str | list[str]", where: str = "key splits") -> list[str]:
    """``all``: those of train, dev, test that exist; ``evaluation``: those of dev, test; a list: exactly these.

    Raises :class:`RecipeError` where the collection does not have what a stage asks for so; ``where`` it is written.
    """
    if isinstance(splits, list):
        for split in splits:
            require_split(split, collection.splits, where)
            collection.queries(split)
        return splits
    names = ("train", "dev", "test") if splits == "all" else ("dev", "test")
    found = [split for split in names if split in collection.splits]
    if not found:
        raise RecipeError(
            f"the collection has none of the splits {', '.join(names)}",
            where=where,
            seen=", ".join(collection.splits),
            allowed="at least one of them (for beir: qrels/dev.tsv or qrels/test.tsv)",
            next_step="rename the file of judgements, or name the splits in the stage, for example `splits: [validation]`",
        )
    return found
