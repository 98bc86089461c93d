"""Building the arrays of a :class:`~retkd.collections.document_store.DocumentStore` in one pass over its file."""

from array import array
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

import numpy as np

from retkd.collections.cache_folder import write_json
from retkd.collections.lines import LineError
from retkd.collections.records import DOCUMENTS, Form
from retkd.errors import DataError

VERSION = 1


def id_hashes(doc_ids: Iterable[str]) -> np.ndarray:
    """The 64-bit hash of each id, the same on every machine."""
    return np.frombuffer(b"".join(map(_hash, doc_ids)), dtype="<u8")


def _hash(doc_id: str) -> bytes:
    return blake2b(doc_id.encode(), digest_size=8).digest()


def write_index(path: Path, form: Form, into: Path, shown_path: Path) -> None:
    """Read ``path`` once and write offsets.npy, hashes.npy, rows.npy and counts.json into the folder ``into``.

    Holds 40 bytes per document in memory. Raises :class:`DataError`, naming ``shown_path``, for a malformed line, an id
    that two lines have, and a file without documents.
    """
    offsets, hashes, num_empty = _scanned(path, form, shown_path)
    if not len(hashes):
        raise DataError(
            "the corpus is empty",
            where=shown_path,
            seen="no line that holds a document",
            allowed="at least one document",
            next_step="check that the file was written or downloaded whole",
        )
    rows = np.argsort(hashes, kind="stable")
    hashes = hashes[rows]
    _refuse_duplicates(path, form, offsets, hashes, rows, shown_path)
    for name, values in (("offsets", offsets), ("hashes", hashes), ("rows", rows)):
        np.save(into / f"{name}.npy", values)
    write_json(into / "counts.json", {"num_empty": num_empty})


def _scanned(path: Path, form: Form, shown_path: Path) -> tuple[np.ndarray, np.ndarray, int]:
    parse, offsets, hashes = DOCUMENTS[form], array("q"), bytearray()
    position = num_empty = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.isspace():
                try:
                    document = parse(line)
                except LineError as error:
                    raise error.at(shown_path, number) from None
                offsets.append(position)
                hashes += _hash(document.doc_id)
                num_empty += not document.text.strip()
            position += len(line)
    offsets.append(position)
    return np.frombuffer(offsets, dtype=np.int64), np.frombuffer(hashes, dtype="<u8"), num_empty


def _refuse_duplicates(
    path: Path, form: Form, offsets: np.ndarray, hashes: np.ndarray, rows: np.ndarray, shown_path: Path
) -> None:
    def doc_id(row: int) -> str:
        lines.seek(int(offsets[row]))
        return DOCUMENTS[form](lines.readline()).doc_id

    with path.open("rb") as lines:
        for place in np.flatnonzero(hashes[1:] == hashes[:-1]):
            first, second = int(rows[place]), int(rows[place + 1])
            if doc_id(first) == doc_id(second):
                raise duplicate_id(
                    doc_id(first), shown_path, *(_line_number(path, int(offsets[r])) for r in (first, second))
                )


def duplicate_id(key: str, path: Path, first: int, second: int) -> DataError:
    """The error for an id that two lines of a file have."""
    return DataError(
        "two lines have the same id",
        where=f"{path}, lines {first} and {second}",
        seen=repr(key),
        allowed="each id once",
        next_step="remove one of the lines, or give it another id",
    )


def _line_number(path: Path, offset: int) -> int:
    with path.open("rb") as content:
        return content.read(offset).count(b"\n") + 1
