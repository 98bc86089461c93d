"""Writing a BEIR folder: the layout in which collections that are made, not found, are kept in the cache."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from retkd.collections.base import Document, Query


def write_documents(folder: Path, documents: Iterable[Document]) -> None:
    """Write corpus.jsonl, in this order."""
    with (folder / "corpus.jsonl").open("w", encoding="utf-8", newline="\n") as lines:
        for document in documents:
            record = {"_id": document.doc_id, "title": document.title, "text": document.text}
            lines.write(json.dumps(record | _language(document), ensure_ascii=False) + "\n")


def write_queries(folder: Path, queries: Iterable[Query]) -> None:
    """Write queries.jsonl, in this order."""
    with (folder / "queries.jsonl").open("w", encoding="utf-8", newline="\n") as lines:
        for query in queries:
            record = {"_id": query.query_id, "text": query.text}
            lines.write(json.dumps(record | _language(query), ensure_ascii=False) + "\n")


def _language(of: Document | Query) -> dict[str, str]:
    return {"language": of.language} if of.language is not None else {}


def write_qrels(folder: Path, qrels: Mapping[str, Iterable[tuple[str, str, int]]]) -> None:
    """Write qrels/SPLIT.tsv for each split from its (query_id, doc_id, grade) rows."""
    (folder / "qrels").mkdir(exist_ok=True)
    for split, rows in qrels.items():
        with (folder / "qrels" / f"{split}.tsv").open("w", encoding="utf-8", newline="\n") as lines:
            lines.write("query-id\tcorpus-id\tscore\n")
            lines.writelines(f"{query_id}\t{doc_id}\t{grade}\n" for query_id, doc_id, grade in rows)
