"""A candidate list with its texts, as the training files of other tools hold it, and what a format is."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from retkd.collections.lines import FLOAT32_MOST, parsed_lines, shown
from retkd.collections.records import json_record
from retkd.errors import DataError

BLOCK = 4096
"""Rows of a Parquet file in memory at once."""


@dataclass(frozen=True, slots=True)
class ListDocument:
    """One document of a list. ``None`` is what the file does not say; ``text`` is the title and the text together."""

    doc_id: str | None
    text: str | None
    positive: bool | None
    score: float | None


@dataclass(frozen=True, slots=True)
class TrainingList:
    """One query and its documents. ``where`` is the file and the line, for errors."""

    where: str
    query_id: str | None
    query: str | None
    documents: tuple[ListDocument, ...]

    @property
    def positives(self) -> list[ListDocument]:
        """The documents marked relevant."""
        return [document for document in self.documents if document.positive]

    @property
    def negatives(self) -> list[ListDocument]:
        """All others."""
        return [document for document in self.documents if not document.positive]


@dataclass(frozen=True)
class Format:
    """How one tool's training file is read and written. ``suffix`` is empty where it is a folder.

    ``loses`` says what of a candidates table does not come back. ``needs`` may hold positives, negatives, scores: lists
    without are left out (positives, negatives) or refused (scores).
    """

    name: str
    tool: str
    suffix: str
    loses: str
    needs: frozenset[str]
    read: Callable[[Path], Iterator[TrainingList]]
    write: Callable[[Iterable[TrainingList], Path], None]


def records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, record) of a .parquet file or of JSON lines, plain or .gz. Raises :class:`DataError` with file and line."""
    if not path.is_file():
        raise DataError("there is no such file", where=path, next_step="a relative path starts where retkd was called")
    if path.suffix != ".parquet":
        yield from ((f"{path}, line {number}", record) for number, record in parsed_lines(path, json_record))
        return
    import pyarrow.parquet as pq
    from pyarrow import ArrowInvalid

    try:
        batches = pq.ParquetFile(path).iter_batches(batch_size=1024)
    except ArrowInvalid as error:
        raise DataError("the file is not parquet", where=path, seen=error, next_step="fetch it again") from error
    rows = (row for batch in batches for row in batch.to_pylist())
    yield from ((f"{path}, row {number}", row) for number, row in enumerate(rows, 1))


def field(record: Any, key: str, where: str, kind: type | tuple[type, ...], allowed: str) -> Any:
    """``record[key]`` when it is of that kind; else a :class:`DataError`."""
    if not isinstance(record, dict):
        raise DataError("this is no record", where=where, seen=shown(record), allowed=f"an object with {key!r}")
    value = record.get(key)
    if not isinstance(value, kind):
        raise DataError(
            f"the field {key!r} is not as the format has it" if key in record else f"there is no field {key!r}",
            where=where,
            seen=shown(value) if key in record else ", ".join(record) or "an empty record",
            allowed=allowed,
            next_step="check that the file is of the format that was named",
        )
    return value


def strings(record: dict[str, Any], key: str, where: str) -> list[str]:
    """A list of strings under ``key``."""
    found = field(record, key, where, list, "a list of strings")
    for value in found:
        if not isinstance(value, str):
            raise DataError(f"the field {key!r} holds no string", where=where, seen=shown(value), allowed="strings")
    return list(found)


def identity(value: object, key: str, where: str) -> str:
    """An id as a string, when it is a string or an integer; else a :class:`DataError`."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise DataError(f"the field {key!r} holds no id", where=where, seen=shown(value), allowed="strings or integers")
    return str(value)


def scores(values: object, count: int, key: str, where: str) -> list[float]:
    """``count`` finite numbers. Raises :class:`DataError`."""
    if not isinstance(values, list) or len(values) != count:
        raise DataError(
            f"the field {key!r} does not hold one score per document",
            where=where,
            seen=f"{len(values)} values" if isinstance(values, list) else shown(values),
            allowed=f"a list of {count} numbers",
        )
    return [finite(value, key, where) for value in values]


def finite(value: object, key: str, where: str) -> float:
    """The number itself, when it is one and finite. Raises :class:`DataError`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= FLOAT32_MOST:
        raise DataError(
            "a score is not a finite number",
            where=where,
            seen=f"{key}: {shown(value)}",
            allowed="finite numbers that 32 bits hold",
            next_step="remove or mend the record: a score that is not there cannot be taught",
        )
    return float(value)


def write_table(rows: Iterable[dict[str, Any]], columns: dict[str, str], path: Path) -> None:
    """Rows as one Parquet file, streamed; ``columns`` maps a name to string, list<string> or list<float>."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"string": pa.string(), "list<string>": pa.list_(pa.string()), "list<float>": pa.list_(pa.float32())}
    schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
    rows = iter(rows)
    with pq.ParquetWriter(path, schema) as out:
        while block := list(islice(rows, BLOCK)):
            out.write_table(pa.Table.from_pylist(block, schema=schema))
