"""Candidates tables written by hand, and small collections to go with them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from retkd import candidates
from retkd.parts import Scale

Row = tuple[str, float, int | None]
"""doc_id, score, relevance."""


def rows_of(lists: Mapping[str, Sequence[Row]]) -> pa.Table:
    """A checked table; ranks follow the order of each list."""
    rows = [
        (query_id, doc_id, rank, score, "made", relevance)
        for query_id, ranking in lists.items()
        for rank, (doc_id, score, relevance) in enumerate(ranking, start=1)
    ]
    return candidates.table(*(zip(*rows, strict=True) if rows else [()] * 6))


def scored(rows: pa.Table, name: str, scores: Sequence[float | None], scale: Scale = "logit") -> pa.Table:
    """The table with one more teacher; ``None`` is not scored."""
    return candidates.with_teacher(rows, name, pa.array(scores, pa.float32()), scale)


def written(rows: pa.Table, folder: Path) -> Path:
    """The table as the only part of a split's folder; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    candidates.write(rows, folder / "part-00000-of-00001.parquet")
    return folder


def pairs(rows: pa.Table) -> list[tuple[str, str]]:
    """(query_id, doc_id) of each row."""
    return list(zip(rows["query_id"].to_pylist(), rows["doc_id"].to_pylist(), strict=True))


def teacher_scores(rows: pa.Table, name: str) -> np.ndarray:
    """One teacher's column; NaN where it is null."""
    return rows[candidates.TEACHER + name].to_numpy(zero_copy_only=False)


def beir(
    folder: Path,
    documents: Mapping[str, str],
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, Mapping[str, int]]],
) -> Path:
    """Write a BEIR folder: texts by id, and split -> query_id -> doc_id -> grade."""
    (folder / "qrels").mkdir(parents=True)
    for name, texts in (("corpus", documents), ("queries", queries)):
        lines = [json.dumps({"_id": key, "text": text}) + "\n" for key, text in texts.items()]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    for split, judged in qrels.items():
        lines = [f"{q}\t{d}\t{grade}\n" for q, grades in judged.items() for d, grade in grades.items()]
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return folder
