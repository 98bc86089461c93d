"""Documents in a file of lines, by number and by id, without holding them in memory.

Beside the file stand three arrays, memory-mapped: where each document's line starts, and the sorted 64-bit hashes of
the ids with the document number of each. Equal hashes are told apart by reading the ids. 24 bytes per document on disk.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from retkd.collections.base import Document
from retkd.collections.cache_folder import published, read_json
from retkd.collections.document_index import VERSION, id_hashes, write_index
from retkd.collections.lines import LineError
from retkd.collections.records import DOCUMENTS, Form
from retkd.errors import DataError


@dataclass(frozen=True)
class DocumentStore:
    """``path`` is a plain file with one document per line; ``index`` the folder that :func:`opened_store` filled."""

    path: Path
    index: Path
    form: Form

    @property
    def num_documents(self) -> int:
        """Lines that hold a document."""
        return len(self._hashes)

    @property
    def num_empty(self) -> int:
        """Documents whose text is empty or blank."""
        return int(read_json(self.index / "counts.json")["num_empty"])

    def documents(self, start: int = 0, stop: int | None = None) -> Iterator[Document]:
        """Documents number ``start`` to ``stop`` (exclusive) in the order of the file; seeks, then streams."""
        start, stop, _ = slice(start, stop).indices(self.num_documents)
        if start >= stop:
            return
        parse, end = DOCUMENTS[self.form], int(self._offsets[stop])
        with self.path.open("rb") as lines:
            position = lines.seek(int(self._offsets[start]))
            for line in lines:
                position += len(line)
                if not line.isspace():
                    yield parse(line)
                if position >= end:
                    return

    def by_id(self, doc_ids: Iterable[str]) -> Iterator[Document]:
        """The documents with these ids, in this order. Unknown ids raise :class:`DataError` at once, naming them."""
        ids = list(doc_ids)
        known = self.contains(ids)
        if not known.all():
            raise self._unknown([doc_id for doc_id, is_known in zip(ids, known, strict=True) if not is_known])
        first = np.searchsorted(self._hashes, id_hashes(ids))
        return (self._at(doc_id, int(place)) for doc_id, place in zip(ids, first, strict=True))

    def contains(self, doc_ids: Iterable[str]) -> np.ndarray:
        """For each id, whether a document has it, by hash alone (wrong once in 2**64 / num_documents unknown ids)."""
        hashes = id_hashes(doc_ids)
        places = np.minimum(np.searchsorted(self._hashes, hashes), self.num_documents - 1)
        return np.asarray(self._hashes[places] == hashes)

    def _at(self, doc_id: str, place: int) -> Document:
        wanted = self._hashes[place]
        while place < self.num_documents and self._hashes[place] == wanted:
            document = self._row(int(self._rows[place]))
            if document.doc_id == doc_id:
                return document
            place += 1
        raise self._unknown([doc_id])

    def _row(self, row: int) -> Document:
        start, end = int(self._offsets[row]), int(self._offsets[row + 1])
        line = os.pread(self._file.fileno(), end - start, start).split(b"\n", 1)[0]
        try:
            return DOCUMENTS[self.form](line)
        except LineError as error:
            raise DataError(
                "the file has changed since it was indexed", where=self.path, seen=error.seen, next_step="run again"
            ) from error

    def _unknown(self, ids: list[str]) -> DataError:
        some = ", ".join(repr(doc_id) for doc_id in ids[:5]) + (", ..." if len(ids) > 5 else "")
        return DataError(
            f"{len(ids)} document id{'s are' if len(ids) > 1 else ' is'} not in the collection",
            where=self.path,
            seen=some,
            allowed=f"ids of its {self.num_documents} documents",
            next_step="use the candidates, run or qrels that were made from this collection",
        )

    @cached_property
    def _offsets(self) -> np.ndarray:
        return self._array("offsets")

    @cached_property
    def _hashes(self) -> np.ndarray:
        return self._array("hashes")

    @cached_property
    def _rows(self) -> np.ndarray:
        return self._array("rows")

    def _array(self, name: str) -> np.ndarray:
        return np.asarray(np.load(self.index / f"{name}.npy", mmap_mode="r"))

    @cached_property
    def _file(self) -> BinaryIO:
        return self.path.open("rb", buffering=0)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "index": self.index, "form": self.form}


def opened_store(path: Path, form: Form, digest: str, cache: Path, shown_path: Path | None = None) -> DocumentStore:
    """The store of a plain file whose content has this ``digest``. Indexed in one pass the first time.

    ``shown_path`` is the file that errors name, when ``path`` is a decompressed copy of it. Raises :class:`DataError`
    for a malformed line, an id that two lines have, and a file without documents.
    """
    folder = cache / "stores" / f"{digest}-{form}-{VERSION}"
    return DocumentStore(path, published(folder, lambda into: write_index(path, form, into, shown_path or path)), form)
