"""Any collection of the ir_datasets catalogue, downloaded and stored by that package."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from retkd.collections.base import Collection, CollectionConfig, Document, Query
from retkd.collections.cache_folder import read_json, write_json
from retkd.collections.catalogue import content_of, dataset_with, json_digest
from retkd.errors import DataError, did_you_mean

AT_ONCE = 1024
"""Documents fetched from the package's store in one call."""


class IrDatasets(CollectionConfig):
    """Ids as in the catalogue at ir-datasets.com."""

    kind: Literal["ir_datasets"] = "ir_datasets"
    id: str = Field(description="the dataset that has the documents, as msmarco-passage")
    splits: dict[str, str] = Field(
        description="split -> the dataset that has its queries and qrels, as msmarco-passage/train/judged", min_length=1
    )
    title_field: str | None = Field(
        default=None, description="of a document; default: its title field, when it has one"
    )
    text_field: str | None = Field(
        default=None, description="of a document; default: text, else the package's own choice"
    )
    query_field: str | None = Field(default=None, description="of a query; default: the package's own choice")

    @property
    def title(self) -> str:
        """The dataset's id."""
        return self.id

    def open(self, cache: Path) -> "IrDatasetsCollection":
        """The collection."""
        return IrDatasetsCollection(self, cache, version("ir_datasets"))


class IrDatasetsCollection(Collection):
    """The package is imported when it is needed: not for opening, nor for a digest that is known from before."""

    config: IrDatasets

    def __init__(self, config: IrDatasets, cache: Path, installed: str) -> None:
        super().__init__(config)
        self._cache, self._installed = cache, installed

    @cached_property
    def digest(self) -> str:
        """SHA-256 over ids, field choices, the package's version and its metadata (counts, id lengths). No download.

        The catalogue checks each download against a checksum that stands in the package, so its version fixes the
        content. A dataset that was registered by hand has no metadata: its files, or where they are not known its
        records, are hashed instead.
        """
        chosen = self.config.model_dump(mode="json", exclude={"sample"})
        known = self._cache / "digests" / f"ir_datasets-{json_digest([chosen, self._installed])[:32]}.json"
        digest = read_json(known)
        if digest is None:
            contents = [content_of(self.config.id, "docs", self._cache)]
            for dataset_id in self.config.splits.values():
                contents += [
                    content_of(dataset_id, "queries", self._cache),
                    content_of(dataset_id, "qrels", self._cache),
                ]
            digest = json_digest([chosen, self._installed, [each.value for each in contents]])
            if all(each.is_fixed for each in contents):
                write_json(known, digest)
        return str(digest)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that the configuration names."""
        return tuple(self.config.splits)

    @cached_property
    def num_documents(self) -> int:
        """The catalogue's count; where it has none, counted by reading all documents once."""
        dataset = dataset_with(self.config.id, "docs")
        count = dataset.docs_count()
        return int(count) if count is not None else sum(1 for _ in dataset.docs_iter())

    def documents(self, start: int = 0, stop: int | None = None) -> Iterator[Document]:
        """Documents in the catalogue's order; seeks where the dataset can, else reads up to ``start``."""
        dataset = dataset_with(self.config.id, "docs")
        start, stop, _ = slice(start, stop).indices(self.num_documents)
        rows = dataset.docs_iter()
        rows = rows[start:stop] if hasattr(rows, "__getitem__") else islice(rows, start, stop)
        return map(self._document, rows)

    def documents_by_id(self, doc_ids: Iterable[str]) -> Iterator[Document]:
        """The documents with these ids, in this order. Unknown ids raise :class:`DataError` when they are reached."""
        store, ids = dataset_with(self.config.id, "docs").docs_store(), list(doc_ids)
        for first in range(0, len(ids), AT_ONCE):
            some = ids[first : first + AT_ONCE]
            found = store.get_many(set(some))
            unknown = [doc_id for doc_id in some if doc_id not in found]
            if unknown:
                raise self._unknown("document", unknown)
            yield from (self._document(found[doc_id]) for doc_id in some)

    def contains(self, doc_ids: Iterable[str]) -> list[bool]:
        """By the dataset's own store, which is made when it is first asked."""
        store, ids = dataset_with(self.config.id, "docs").docs_store(), list(doc_ids)
        found = {
            doc_id
            for first in range(0, len(ids), AT_ONCE)
            for doc_id in store.get_many(set(ids[first : first + AT_ONCE]))
        }
        return [doc_id in found for doc_id in ids]

    def all_queries(self, split: str) -> list[Query]:
        """Every query of a split."""
        rows = dataset_with(self.config.splits[split], "queries").queries_iter()
        return [
            Query(str(row.query_id), _field(row, self.config.query_field, "collection.query_field")) for row in rows
        ]

    def all_qrels(self, split: str) -> dict[str, dict[str, int]]:
        """The judgements of a split. The documents that they name are not looked up, which would read the corpus."""
        qrels: dict[str, dict[str, int]] = {}
        for row in dataset_with(self.config.splits[split], "qrels").qrels_iter():
            qrels.setdefault(str(row.query_id), {})[str(row.doc_id)] = int(row.relevance)
        return qrels

    def _document(self, row: Any) -> Document:
        has_both = {"title", "text"} <= set(row._fields) and self.config.text_field is None
        title = self.config.title_field or ("title" if has_both else None)
        text = self.config.text_field or ("text" if has_both else None)
        shown = _field(row, title, "collection.title_field") if title else ""
        return Document(str(row.doc_id), _field(row, text, "collection.text_field"), shown)

    def _unknown(self, what: str, ids: Sequence[str]) -> DataError:
        return DataError(
            f"{len(ids)} {what} id{'s are' if len(ids) > 1 else ' is'} not in the collection",
            where=f"ir_datasets {self.config.id}",
            seen=", ".join(map(repr, ids[:5])),
            allowed=f"ids of its {self.num_documents} documents",
            next_step="use the candidates, run or qrels that were made from this collection",
        )


def _field(row: Any, name: str | None, key: str) -> str:
    if name is None:
        return str(row.default_text())
    if name not in row._fields:
        raise DataError(
            f"{key} names a field that the records lack", seen=name, next_step=did_you_mean(name, row._fields)
        )
    return str(getattr(row, name))
