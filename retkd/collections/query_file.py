"""Queries in a file, JSON lines or tab-separated, read whole: a query is a line, and there are few of them."""

from pathlib import Path

from retkd.collections.document_index import duplicate_id
from retkd.collections.lines import parsed_lines
from retkd.collections.records import QUERIES, Form, QueryRecord


def read_queries(path: Path, form: Form) -> dict[str, QueryRecord]:
    """query_id -> record, in the order of the file.

    Raises :class:`DataError` with file and line for a malformed line and for an id that two lines have.
    """
    records: dict[str, QueryRecord] = {}
    lines: dict[str, int] = {}
    for number, record in parsed_lines(path, QUERIES[form]):
        query_id = record.query.query_id
        if query_id in records:
            raise duplicate_id(query_id, path, lines[query_id], number)
        records[query_id], lines[query_id] = record, number
    return records
