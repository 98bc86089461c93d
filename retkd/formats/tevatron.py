"""Tevatron: JSON lines of ``query_id``, ``query``, ``positive_passages`` and ``negative_passages``.

A passage has ``docid``, ``text`` and, for its distillation set, ``score``. There a ``title`` is put before the text; we write
title and text as one, which gives the same string, and read both ways.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from retkd.formats.base import Format, ListDocument, TrainingList, field, finite, identity, records

SIDES = ("positive_passages", "negative_passages")


def read(path: Path) -> Iterator[TrainingList]:
    """One list per line, positives first."""
    for where, record in records(path):
        query = field(record, "query", where, str, "the text of the query")
        documents = [document for side in SIDES for document in _documents(record, side, where)]
        query_id = identity(record["query_id"], "query_id", where) if record.get("query_id") is not None else None
        yield TrainingList(where, query_id, query, tuple(documents))


def _documents(record: dict[str, Any], side: str, where: str) -> Iterator[ListDocument]:
    for passage in field(record, side, where, list, "a list of passages"):
        inside = f"{where}, {side}"
        text = field(passage, "text", inside, str, "the text of the passage")
        title = passage.get("title") or ""
        score = finite(passage["score"], "score", inside) if passage.get("score") is not None else None
        doc_id = identity(passage["docid"], "docid", inside) if passage.get("docid") is not None else None
        yield ListDocument(doc_id, f"{title} {text}" if title else text, side == SIDES[0], score)


def write(lists: Iterable[TrainingList], path: Path) -> None:
    """JSON lines, one per query."""
    with path.open("w", encoding="utf-8") as out:
        for each in lists:
            record = {
                "query_id": each.query_id,
                "query": each.query,
                SIDES[0]: [_passage(document) for document in each.positives],
                SIDES[1]: [_passage(document) for document in each.negatives],
            }
            out.write(json.dumps(record, ensure_ascii=False) + "\n")


def _passage(document: ListDocument) -> dict[str, Any]:
    passage: dict[str, Any] = {"docid": document.doc_id, "text": document.text}
    return passage if document.score is None else {**passage, "score": document.score}


TEVATRON = Format(
    name="tevatron",
    tool="Tevatron: `--dataset_path`, with scores also its distillation set",
    suffix=".jsonl",
    loses="grades above 1, unjudged against judged not relevant, the teacher's scale, where a title ends",
    needs=frozenset({"positives", "negatives"}),
    read=read,
    write=write,
)
