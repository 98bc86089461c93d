"""sentence-transformers: columns ``query``, ``positive``, ``negative_1`` ..., and ``scores`` of all of them in order.

The columns that are not labels are read by their place: the query, its positive, its negatives; ``label``, ``labels``,
``score`` and ``scores`` are labels. A row fits MarginMSELoss and DistillKLDivLoss, and, without scores,
MultipleNegativesRankingLoss. ``mine_hard_negatives`` calls it ``n-tuple``; its ``labeled-list`` (one list of documents with
``scores`` or 0/1 ``labels``) is read too.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from retkd.errors import DataError
from retkd.formats.base import Format, ListDocument, TrainingList, field, records, scores, strings

LABELS = ("label", "labels", "score", "scores")


def read(path: Path) -> Iterator[TrainingList]:
    """One list per row; the ids are unknown."""
    for where, row in records(path):
        columns = [name for name in row if name not in LABELS]
        if len(columns) < 2:
            raise DataError(
                "a row needs a query and a document", where=where, seen=", ".join(row), allowed="query, positive, ..."
            )
        query = field(row, columns[0], where, str, "the text of the query")
        label = next((name for name in LABELS if name in row), None)
        make = _labelled_list if isinstance(row[columns[1]], list) else _tuple
        yield TrainingList(where, None, query, make(row, columns[1:], label, where))


def _tuple(row: dict[str, Any], columns: list[str], label: str | None, where: str) -> tuple[ListDocument, ...]:
    texts = [field(row, name, where, str, "the text of a document") for name in columns]
    if label is not None and not isinstance(row[label], list):
        raise DataError(
            "the label of a row is one number, which is a margin and gives no score to a document",
            where=where,
            seen=f"{label}: {row[label]!r}",
            allowed=f"a list of {len(texts)} scores, the positive's first",
        )
    found = [None] * len(texts) if label is None else scores(row[label], len(texts), label, where)
    return tuple(
        ListDocument(None, text, place == 0, score)
        for place, (text, score) in enumerate(zip(texts, found, strict=True))
    )


def _labelled_list(row: dict[str, Any], columns: list[str], label: str | None, where: str) -> tuple[ListDocument, ...]:
    texts = strings(row, columns[0], where)
    if label is None:
        return tuple(ListDocument(None, text, None, None) for text in texts)
    found = scores(row[label], len(texts), label, where)
    if label == "labels":
        return tuple(ListDocument(None, text, value > 0, None) for text, value in zip(texts, found, strict=True))
    return tuple(ListDocument(None, text, None, score) for text, score in zip(texts, found, strict=True))


def write(lists: Iterable[TrainingList], path: Path) -> None:
    """JSON lines, one row per positive, the negatives by rank. Raises :class:`DataError` when lists differ in length."""
    count: int | None = None
    with path.open("w", encoding="utf-8") as out:
        for each in lists:
            negatives = each.negatives
            count = len(negatives) if count is None else count
            if len(negatives) != count:
                raise DataError(
                    "the lists differ in length, and sentence-transformers has one column for each negative",
                    where=f"query_id {each.query_id!r}",
                    seen=f"{len(negatives)} negatives after lists of {count}",
                    next_step="`--negatives N` keeps the lists that have N, and the first N of each",
                )
            for positive in each.positives:
                out.write(json.dumps(_row(each, [positive, *negatives]), ensure_ascii=False) + "\n")


def _row(each: TrainingList, documents: list[ListDocument]) -> dict[str, Any]:
    names = ["positive", *(f"negative_{number}" for number in range(1, len(documents)))]
    row: dict[str, Any] = {"query": each.query, **{name: d.text for name, d in zip(names, documents, strict=True)}}
    if documents[0].score is not None:
        row["scores"] = [document.score for document in documents]
    return row


SENTENCE_TRANSFORMERS = Format(
    name="sentence_transformers",
    tool="sentence-transformers: MarginMSELoss, DistillKLDivLoss, MultipleNegativesRankingLoss",
    suffix=".jsonl",
    loses="ids, grades above 1, unjudged against judged not relevant, the teacher's scale, lists with other lengths",
    needs=frozenset({"positives", "negatives"}),
    read=read,
    write=write,
)
