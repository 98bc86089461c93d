"""Sampled negatives for a person to judge: texts side by side, what each teacher thinks, the suspicious ones first."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from retkd import candidates as table
from retkd.collections.base import Collection
from retkd.selection.audit import known_texts
from retkd.selection.lists import Lists
from retkd.selection.samplers import generator_for

MOST_CHARACTERS = 700


def negatives_to_judge(
    rows: pa.Table, collection: Collection, split: str, count: int, seed: int
) -> list[dict[str, Any]]:
    """``count`` negatives drawn by the seed, as JSON data.

    The positive beside each is its query's best judged one, the first by rank among equals. First come those that most
    teachers put at or above it, then by how far, in standard deviations of each teacher's column.
    """
    lists = Lists.of(rows)
    possible = np.flatnonzero(~lists.positive)
    generator = generator_for(seed, "negatives to judge")
    drawn = np.sort(generator.choice(possible, min(count, len(possible)), replace=False))
    positives = {query_id: _best(lists, start, stop) for query_id, start, stop in lists.groups}
    shown = rows.take(pa.array([*drawn, *(row for row in positives.values() if row is not None)], pa.int64()))
    texts = known_texts(collection, shown["doc_id"].to_pylist())
    queries = {query.query_id: query.text for query in collection.queries(split)}
    scores = {name.removeprefix(table.TEACHER): rows[name] for name in table.teacher_columns(rows)}
    columns = {name: column.to_numpy(zero_copy_only=False).astype(np.float64) for name, column in scores.items()}
    found = []
    for row in drawn.tolist():
        told = rows.slice(row, 1).to_pylist()[0]
        positive = positives[told["query_id"]]
        pairs = {name: _pair(column, row, positive) for name, column in columns.items()}
        found.append(
            {
                "query_id": told["query_id"],
                "query": queries.get(told["query_id"], ""),
                "negative": _document(told, texts),
                "positive": None if positive is None else _document(rows.slice(positive, 1).to_pylist()[0], texts),
                "scores": pairs,
                "above": [name for name, pair in pairs.items() if _excess(pair) >= 0],
            }
        )
    spread = {name: float(np.nanstd(column)) or 1.0 for name, column in columns.items() if not np.isnan(column).all()}
    return sorted(found, key=lambda told: _suspicion(told, spread))


def _best(lists: Lists, start: int, stop: int) -> int | None:
    grades = lists.rows["relevance"].slice(start, stop - start).fill_null(0).to_numpy()
    return start + int(np.argmax(grades)) if stop > start and grades.max() > 0 else None


def _document(row: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    text = texts.get(row["doc_id"], "")
    cut = text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS].rstrip() + " …"
    return {
        "doc_id": row["doc_id"],
        "grade": row["relevance"],
        "rank": row["rank"],
        "source": row["source"],
        "text": cut,
    }


def _pair(column: np.ndarray, negative: int, positive: int | None) -> dict[str, float | None]:
    values = {"negative": column[negative], "positive": np.nan if positive is None else column[positive]}
    return {name: None if np.isnan(value) else float(value) for name, value in values.items()}


def _excess(pair: Mapping[str, float | None]) -> float:
    """How far the negative is above the positive; minus infinity where one has no score."""
    negative, positive = pair["negative"], pair["positive"]
    return -np.inf if negative is None or positive is None else negative - positive


def _suspicion(told: Mapping[str, Any], spread: Mapping[str, float]) -> tuple[Any, ...]:
    known = [_excess(pair) / spread[name] for name, pair in told["scores"].items() if np.isfinite(_excess(pair))]
    mean = sum(known) / len(known) if known else -np.inf
    return -len(told["above"]), -mean, told["query_id"], told["negative"]["doc_id"]
