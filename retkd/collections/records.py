"""One line of a file -> one document or query: JSON lines as in BEIR, tab-separated lines as in MS MARCO."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from retkd.collections.base import Document, Query
from retkd.collections.lines import LineError, decoded, shown

Form = Literal["jsonl", "tsv"]
COLUMNS = '"_id" and "text"'


@dataclass(frozen=True, slots=True)
class QueryRecord:
    """A query as it stands in a file. ``split`` is the file's own label of it, where it has one."""

    query: Query
    split: str | None = None


def json_document(line: bytes) -> Document:
    """``{"_id": ..., "title": ..., "text": ...}``, with an optional ``"language"`` or ``"lang"``.

    The title may be absent, the text may be empty.
    """
    record = json_record(line)
    title = read_text(record, "title") if record.get("title") is not None else ""
    return Document(read_id(record), read_text(record, "text"), title, _language(record))


def tsv_document(line: bytes) -> Document:
    """``doc_id TAB text``; tabs after the first belong to the text."""
    return Document(*_two_columns(line, "a passage"))


def json_query(line: bytes) -> QueryRecord:
    """``{"_id": ..., "text": ...}``, with an optional ``"split"`` and, as in documents, language."""
    record = json_record(line)
    split = read_text(record, "split") if record.get("split") is not None else None
    return _query(read_id(record), read_text(record, "text"), split, _language(record))


def tsv_query(line: bytes) -> QueryRecord:
    """``query_id TAB text``."""
    return _query(*_two_columns(line, "a query"))


DOCUMENTS: dict[Form, Callable[[bytes], Document]] = {"jsonl": json_document, "tsv": tsv_document}
QUERIES: dict[Form, Callable[[bytes], QueryRecord]] = {"jsonl": json_query, "tsv": tsv_query}


def json_record(line: bytes) -> dict[str, Any]:
    """One JSON object. Raises :class:`LineError` for anything else."""
    text = decoded(line)
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        what = f"the line is not JSON: {error.msg} at column {error.colno}"
        raise LineError(what, seen=shown(text), allowed="one JSON object per line") from None
    if not isinstance(record, dict):
        raise LineError("the line is not a JSON object", seen=shown(record), allowed="one JSON object per line")
    return record


def read_id(record: dict[str, Any], allowed: str = COLUMNS) -> str:
    """What stands under ``_id``, as a string; ``allowed`` is the form of the line."""
    if "_id" not in record:
        raise LineError('the line has no key "_id"', seen=_keys(record), allowed=allowed)
    value = record["_id"]
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise LineError('"_id" is not an id', seen=shown(value), allowed="a string that is not empty, or an integer")
    return encodable(str(value), "_id")


def read_text(record: dict[str, Any], key: str, allowed: str = COLUMNS) -> str:
    """The string under a key; ``allowed`` is the form of the line."""
    if key not in record:
        raise LineError(f'the line has no key "{key}"', seen=_keys(record), allowed=allowed)
    if not isinstance(record[key], str):
        raise LineError(f'"{key}" is not a string', seen=shown(record[key]), allowed="a string")
    return encodable(record[key], key)


def _language(record: dict[str, Any]) -> str | None:
    key = next((key for key in ("language", "lang") if record.get(key) is not None), None)
    return None if key is None else read_text(record, key)


def encodable(text: str, key: str) -> str:
    """The text itself. Raises :class:`LineError` where it is no UTF-8."""
    try:
        text.isascii() or text.encode("utf-8")
    except UnicodeEncodeError as error:
        what = f'"{key}" has half a surrogate pair, which no tokeniser takes'
        raise LineError(what, seen=shown(text[error.start : error.end]), allowed="text that is UTF-8") from None
    return text


def _two_columns(line: bytes, of: str) -> tuple[str, str]:
    text = decoded(line)
    key, tab, value = text.partition("\t")
    if not tab or not key:
        raise LineError(f"the line is not {of}", seen=shown(text), allowed="an id, a tab, the text")
    return key, value


def _query(query_id: str, text: str, split: str | None = None, language: str | None = None) -> QueryRecord:
    if not text.strip():
        raise LineError("the query has no text", seen=shown(query_id), allowed="text that is not empty")
    return QueryRecord(Query(query_id, text, language), split)


def _keys(record: dict[str, Any]) -> str:
    return ", ".join(shown(key) for key in list(record)[:8]) or "no keys"
