"""A collection that takes its documents from another and has queries of its own."""

from collections.abc import Iterable, Iterator

from retkd.collections.base import Collection, CollectionConfig, Document


class WithDocumentsOf(Collection):
    """The documents of ``base``. A subclass fills in digest, splits, queries and judgements."""

    def __init__(self, config: CollectionConfig, base: Collection) -> None:
        super().__init__(config)
        self._base = base

    @property
    def num_documents(self) -> int:
        """As in ``base``."""
        return self._base.num_documents

    def documents(self, start: int = 0, stop: int | None = None) -> Iterator[Document]:
        """As in ``base``."""
        return self._base.documents(start, stop)

    def documents_by_id(self, doc_ids: Iterable[str]) -> Iterator[Document]:
        """As in ``base``."""
        return self._base.documents_by_id(doc_ids)

    def contains(self, doc_ids: Iterable[str]) -> list[bool]:
        """As in ``base``."""
        return self._base.contains(doc_ids)
