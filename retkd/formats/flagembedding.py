"""FlagEmbedding: JSON lines of ``query``, ``pos``, ``neg``, and for knowledge distillation ``pos_scores``, ``neg_scores``.

Its dataset reads these keys and passes over others, so ``query_id``, ``pos_ids`` and ``neg_ids`` ride along and bring the ids
back; a file without them is matched by text.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from retkd.errors import DataError
from retkd.formats.base import Format, ListDocument, TrainingList, field, records, scores, strings


def read(path: Path) -> Iterator[TrainingList]:
    """One list per line, positives first."""
    for where, record in records(path):
        query = field(record, "query", where, str, "the text of the query")
        documents = [*_documents(record, "pos", where), *_documents(record, "neg", where)]
        query_id = field(record, "query_id", where, str, "an id") if record.get("query_id") is not None else None
        yield TrainingList(where, query_id, query, tuple(documents))


def _documents(record: dict[str, Any], side: str, where: str) -> Iterator[ListDocument]:
    texts = strings(record, side, where)
    ids = _ids(record, f"{side}_ids", len(texts), where)
    key = f"{side}_scores"
    found = scores(record[key], len(texts), key, where) if record.get(key) is not None else [None] * len(texts)
    for doc_id, text, score in zip(ids, texts, found, strict=True):
        yield ListDocument(doc_id, text, side == "pos", score)


def _ids(record: dict[str, Any], key: str, count: int, where: str) -> list[str] | list[None]:
    if record.get(key) is None:
        return [None] * count
    found = strings(record, key, where)
    if len(found) != count:
        raise DataError(
            f"the field {key!r} does not hold one id per document",
            where=where,
            seen=f"{len(found)} ids",
            allowed=f"a list of {count} strings",
            next_step="mend the record, or leave the ids out and match by text",
        )
    return found


def write(lists: Iterable[TrainingList], path: Path) -> None:
    """JSON lines, one per query."""
    with path.open("w", encoding="utf-8") as out:
        for each in lists:
            record: dict[str, Any] = {"query": each.query}
            sides = {"pos": each.positives, "neg": each.negatives}
            record |= {side: [document.text for document in documents] for side, documents in sides.items()}
            if each.documents[0].score is not None:
                record |= {f"{side}_scores": [d.score for d in documents] for side, documents in sides.items()}
            record["query_id"] = each.query_id
            record |= {f"{side}_ids": [d.doc_id for d in documents] for side, documents in sides.items()}
            out.write(json.dumps(record, ensure_ascii=False) + "\n")


FLAGEMBEDDING = Format(
    name="flagembedding",
    tool="FlagEmbedding (BGE): embedder and reranker fine-tuning, `--knowledge_distillation True`",
    suffix=".jsonl",
    loses="grades above 1, unjudged against judged not relevant, the teacher's scale",
    needs=frozenset({"positives", "negatives"}),
    read=read,
    write=write,
)
