"""PyLate: a folder of ``train.parquet``, ``queries.parquet`` and ``documents.parquet``.

Their columns are query_id, document_ids, scores; query_id, text; document_id, text: the tables that its KDProcessing joins.
It takes the first ``n_ways`` of each list, so positives stand first, then the others by rank. Labels have no place: who is
a positive is left to the collection.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from retkd.formats.base import Format, ListDocument, TrainingList, field, identity, records, scores, write_table

QUERIES, DOCUMENTS, TRAIN = "queries.parquet", "documents.parquet", "train.parquet"


def read(path: Path) -> Iterator[TrainingList]:
    """The lists of such a folder, with texts, or of its train table alone, without."""
    train = path / TRAIN if path.is_dir() else path
    queries = _texts(path / QUERIES, "query_id") if path.is_dir() else {}
    documents = _texts(path / DOCUMENTS, "document_id") if path.is_dir() else {}
    for where, record in records(train):
        query_id = str(field(record, "query_id", where, (str, int), "an id"))
        ids = field(record, "document_ids", where, list, "a list of ids")
        doc_ids = [identity(doc_id, "document_ids", where) for doc_id in ids]
        found = scores(record.get("scores"), len(doc_ids), "scores", where)
        listed = (
            ListDocument(doc_id, documents.get(doc_id), None, score)
            for doc_id, score in zip(doc_ids, found, strict=True)
        )
        yield TrainingList(where, query_id, queries.get(query_id), tuple(listed))


def _texts(path: Path, key: str) -> dict[str, str]:
    return {
        str(field(record, key, where, (str, int), "an id")): field(record, "text", where, str, "a text")
        for where, record in records(path)
    }


def write(lists: Iterable[TrainingList], folder: Path) -> None:
    """Fill the folder; every document that a list names stands once in the documents table."""
    documents: dict[str, str] = {}
    queries: dict[str, str] = {}
    train = {"query_id": "string", "document_ids": "list<string>", "scores": "list<float>"}
    write_table(_train_rows(lists, queries, documents), train, folder / TRAIN)
    for key, texts, name in (("query_id", queries, QUERIES), ("document_id", documents, DOCUMENTS)):
        rows = ({key: each, "text": text} for each, text in texts.items())
        write_table(rows, {key: "string", "text": "string"}, folder / name)


def _train_rows(
    lists: Iterable[TrainingList], queries: dict[str, str], documents: dict[str, str]
) -> Iterator[dict[str, Any]]:
    for each in lists:
        ordered = [*each.positives, *each.negatives]
        queries[str(each.query_id)] = str(each.query)
        documents |= {str(document.doc_id): str(document.text) for document in ordered}
        yield {
            "query_id": each.query_id,
            "document_ids": [document.doc_id for document in ordered],
            "scores": [document.score for document in ordered],
        }


PYLATE = Format(
    name="pylate",
    tool="PyLate: utils.KDProcessing over the three tables, losses.Distillation",
    suffix="",
    loses="every label, the miner's rank where a positive is not first, the teacher's scale, where a title ends",
    needs=frozenset({"scores"}),
    read=read,
    write=write,
)
