"""Files of the TREC tradition: runs and judgements, plain or gzip.

A run line is ``query_id Q0 doc_id rank score tag``; a judgement is ``query_id 0 doc_id grade``, or BEIR's
``query-id corpus-id score`` under such a header. We write tabs, so that ids with spaces come back whole.
"""

import gzip
from collections.abc import Iterator, Mapping, Sequence
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import IO, NamedTuple, cast

import numpy as np

from retkd.collections.lines import FLOAT32_MOST, decoded, parsed_lines
from retkd.errors import DataError
from retkd.shards import atomic

Run = dict[str, list[tuple[str, float]]]
"""query_id -> (doc_id, score), best first. The order is the ranking; scores never contradict it."""


class RunRow(NamedTuple):
    """One line of a run. ``line`` counts from 1."""

    line: int
    query_id: str
    doc_id: str
    rank: int
    score: float


RUN_LINE = "query_id Q0 doc_id rank score tag"
QRELS_LINE = "query_id 0 doc_id grade (TREC), or query-id corpus-id score (BEIR)"


def read_run(path: Path) -> Run:
    """The run in a file, each query in the order of its rank column (equal ranks: in the order of the file).

    Ties in score are left as the file ranks them, where trec_eval would order them by document id. Raises
    :class:`DataError` on a malformed line, a repeated document, or a rank that contradicts the scores.
    """
    return {query_id: [(row.doc_id, row.score) for row in rows] for query_id, rows in read_run_rows(path).items()}


def read_run_rows(path: Path) -> dict[str, list[RunRow]]:
    """As :func:`read_run`, with the line that each document stands on."""
    found: dict[str, list[RunRow]] = {}
    for number, line in _lines(path):
        row = _run_row(path, number, line)
        found.setdefault(row.query_id, []).append(row)
    for rows in found.values():
        _refuse_repeated(path, rows)
        rows.sort(key=lambda row: row.rank)
        _refuse_rising(path, rows)
    return found


def write_run(run: Mapping[str, Sequence[tuple[str, float]]], path: Path, tag: str) -> None:
    """Write a run atomically; gzip (without a time stamp) when the name ends in ``.gz``.

    Scores go down strictly within a query: a tie is lowered to the next float32, so that every tool reads this ranking.
    """
    with atomic(path) as temporary, temporary.open("wb") as raw, _packed(raw, path) as out:
        for query_id, ranking in run.items():
            scores = strictly_falling([score for _, score in ranking])
            rows = enumerate(zip(ranking, scores, strict=True), start=1)
            out.writelines(f"{query_id}\tQ0\t{doc}\t{rank}\t{score!s}\t{tag}\n" for rank, ((doc, _), score) in rows)


def strictly_falling(scores: Sequence[float]) -> list[np.float32]:
    """The scores in float32, each at least one float32 below the one before.

    >>> [float(s) for s in strictly_falling([2.0, 1.0, 1.0])]
    [2.0, 1.0, 0.9999999403953552]
    """
    asked = np.asarray(scores, dtype=np.float32)
    if np.all(asked[1:] < asked[:-1]):
        return list(asked)
    falling: list[np.float32] = []
    for score in asked:
        ceiling = np.nextafter(falling[-1], np.float32(-np.inf)) if falling else score
        falling.append(min(score, ceiling))
    return falling


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """query_id -> doc_id -> grade. Raises :class:`DataError` on a malformed line or a pair judged twice differently."""
    qrels: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        fields = line.split("\t") if line.count("\t") in (2, 3) else line.split()
        if number == 1 and fields[-1] == "score":
            continue
        if len(fields) not in (3, 4) or not fields[-1].strip().lstrip("-").isdigit():
            raise DataError("malformed judgement", where=f"{path}:{number}", seen=line, allowed=QRELS_LINE)
        query_id, doc_id, grade = fields[0], fields[-2], int(fields[-1])
        if qrels.setdefault(query_id, {}).setdefault(doc_id, grade) != grade:
            raise DataError(
                "a pair is judged twice with different grades",
                where=f"{path}:{number}",
                seen=f"query_id {query_id!r}, doc_id {doc_id!r}: {qrels[query_id][doc_id]} and {grade}",
                allowed="one grade per pair",
            )
    return qrels


def write_qrels(qrels: Mapping[str, Mapping[str, int]], path: Path) -> None:
    """Write judgements atomically in TREC's four columns; gzip when the name ends in ``.gz``."""
    with atomic(path) as temporary, temporary.open("wb") as raw, _packed(raw, path) as out:
        for query_id, judged in qrels.items():
            out.writelines(f"{query_id}\t0\t{doc_id}\t{grade}\n" for doc_id, grade in judged.items())


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    if not path.is_file():
        raise DataError("there is no such file", where=path)
    yield from parsed_lines(path, decoded)


def _packed(raw: IO[bytes], path: Path) -> TextIOWrapper:
    binary = (
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) if path.suffix == ".gz" else raw
    )
    return TextIOWrapper(cast(IO[bytes], binary), encoding="utf-8", newline="\n")


def _run_row(path: Path, number: int, line: str) -> RunRow:
    fields = line.split("\t") if line.count("\t") == 5 else line.split()
    try:
        query_id, _, doc_id, rank, score, _ = fields
        row = RunRow(number, query_id, doc_id, int(rank), float(score))
    except ValueError:
        raise DataError("malformed run line", where=f"{path}:{number}", seen=line, allowed=RUN_LINE) from None
    if not abs(row.score) <= FLOAT32_MOST:
        allowed = "finite numbers that 32 bits hold"
        raise DataError("a score is not finite", where=f"{path}:{number}", seen=line, allowed=allowed)
    return row


def _refuse_repeated(path: Path, rows: Sequence[RunRow]) -> None:
    first: dict[str, int] = {}
    for row in rows:
        if first.setdefault(row.doc_id, row.line) != row.line:
            raise DataError(
                "a run ranks a document twice for one query",
                where=f"{path}:{row.line}",
                seen=f"query_id {row.query_id!r}, doc_id {row.doc_id!r}: also on line {first[row.doc_id]}",
                allowed="one line per pair",
            )


def _refuse_rising(path: Path, rows: Sequence[RunRow]) -> None:
    for above, below in pairwise(rows):
        if below.score > above.score:
            raise DataError(
                "the ranks of a run contradict its scores",
                where=f"{path}:{below.line}",
                seen=f"query_id {below.query_id!r}: {below.doc_id!r} ({below.score}) is ranked below "
                f"{above.doc_id!r} ({above.score})",
                allowed="scores that fall as the rank grows",
                next_step="number the ranks by descending score, or set every rank to 0 in a file sorted by score",
            )
