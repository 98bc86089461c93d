"""A cell of a table -> id, text or grade, or an error that names the row and the column."""

from typing import Any

from retkd.collections.lines import shown
from retkd.errors import DataError


def id_cell(value: Any, where: str, column: str) -> str:
    """An id: an integer, or a string that is not empty and has neither tab nor line end (it will stand in qrels)."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _wrong(where, column, value, "a string or an integer")
    key = str(value)
    if not key.strip() or any(character in key for character in "\t\r\n"):
        raise _wrong(where, column, value, "an id that is not empty, without tab and line end")
    return key


def string_cell(value: Any, where: str, column: str) -> str:
    """A string, which may be empty."""
    if not isinstance(value, str):
        raise _wrong(where, column, value, "a string")
    return value


def text_cell(value: Any, where: str, column: str) -> str:
    """A string that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise _wrong(where, column, value, "a string that is not empty")
    return value


def grade_cell(value: Any, where: str, column: str) -> int:
    """An integer; a float that equals one is taken as it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise _wrong(where, column, value, "an integer grade")
    return int(value)


def _wrong(where: str, column: str, value: Any, allowed: str) -> DataError:
    return DataError(
        f"the column {column!r} holds something else than expected",
        where=where,
        seen=shown(value),
        allowed=allowed,
        next_step="map another column in the recipe, or mend the row",
    )
