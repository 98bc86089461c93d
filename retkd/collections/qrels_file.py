"""Judgements in a file: ``query_id doc_id grade`` (BEIR) or ``query_id 0 doc_id grade`` (TREC, MS MARCO)."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from retkd.collections.lines import LineError, decoded, parsed_lines, shown
from retkd.errors import DataError

HEADER = {"query-id", "query_id", "queryid", "qid", "query"}
GRADES = range(-128, 128)
AT_ONCE = 8192
Contains = Callable[[Iterable[str]], np.ndarray]


@dataclass(frozen=True, slots=True)
class Judgement:
    """One row. ``grade`` is ``None`` for a header line."""

    query_id: str
    doc_id: str
    grade: int | None


Row = tuple[int, Judgement]
"""A line number, from 1, and what stands there."""


def read_qrels(path: Path, known_queries: Collection[str], contains: Contains) -> dict[str, dict[str, int]]:
    """query_id -> doc_id -> grade. ``contains`` says which document ids exist.

    Raises :class:`DataError` with file and line for a malformed row, a pair with two grades, and a row that names an
    unknown query or document. A row that stands twice with the same grade counts once.
    """
    qrels: dict[str, dict[str, int]] = {}
    rows = parsed_lines(path, judgement)
    while block := list(islice(rows, AT_ONCE)):
        if block[0][0] == 1 and block[0][1].grade is None:
            del block[0]
        _refuse_unknown(path, block, known_queries, contains)
        for number, row in block:
            _add(qrels, path, number, row)
    return qrels


def judgement(line: bytes) -> Judgement:
    """One row, tab-separated or, where it has no tab, separated by blanks."""
    text = decoded(line)
    fields = text.split("\t") if "\t" in text else text.split()
    if len(fields) not in (3, 4):
        allowed = "query_id, doc_id, grade (3 columns) or query_id, 0, doc_id, grade (4 columns)"
        raise LineError(f"the row has {len(fields)} columns", seen=shown(text), allowed=allowed)
    query_id, doc_id, grade = fields[0].strip(), fields[-2].strip(), fields[-1].strip()
    if query_id.lower() in HEADER and not _is_integer(grade):
        return Judgement(query_id, doc_id, None)
    if not _is_integer(grade) or int(grade) not in GRADES:
        raise LineError("the grade is not an integer from -128 to 127", seen=shown(grade), allowed="0, 1, 2, ...")
    return Judgement(query_id, doc_id, int(grade))


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and text.isascii()


def _refuse_unknown(path: Path, rows: list[Row], known_queries: Collection[str], contains: Contains) -> None:
    for number, row in rows:
        if row.query_id not in known_queries and row.grade is not None:
            raise _unknown(path, number, "query", row.query_id, "ids of the query file")
    exists = contains(row.doc_id for _, row in rows)
    for (number, row), is_known in zip(rows, exists, strict=True):
        if not is_known and row.grade is not None:
            raise _unknown(path, number, "document", row.doc_id, "ids of the corpus")


def _add(qrels: dict[str, dict[str, int]], path: Path, number: int, row: Judgement) -> None:
    if row.grade is None:
        error = LineError("a header stands below the first line", seen=row.query_id, allowed="a header in line 1 only")
        raise error.at(path, number)
    grades = qrels.setdefault(row.query_id, {})
    if grades.setdefault(row.doc_id, row.grade) != row.grade:
        raise DataError(
            "the pair was judged before, with another grade",
            where=f"{path}, line {number}",
            seen=f"query {row.query_id!r}, document {row.doc_id!r}: {grades[row.doc_id]}, now {row.grade}",
            allowed="one grade per pair",
            next_step="remove one of the rows",
        )


def _unknown(path: Path, number: int, kind: str, key: str, allowed: str) -> DataError:
    return DataError(
        f"the row names an unknown {kind}",
        where=f"{path}, line {number}",
        seen=repr(key),
        allowed=allowed,
        consequence="measures would count a judgement that no system can meet",
        next_step=f"remove the row, or add the {kind}; ids are compared as strings, so 7 and 07 differ",
    )
