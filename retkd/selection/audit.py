"""The audit: what is wrong with the lists that the student will learn from, counted and shown by example."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from retkd import candidates as table
from retkd.collections.base import Collection

NUM_EXAMPLES = 5
NUM_BINS = 30


def audit(
    rows: pa.Table, collection: Collection, split: str, dropped: Mapping[str, int], rows_in: int
) -> dict[str, Any]:
    """The audit of the selected rows of a split, as JSON data: checks, rows in and out with reasons, score histograms."""
    query_ids, doc_ids = rows["query_id"].to_pylist(), rows["doc_id"].to_pylist()
    relevance = rows["relevance"].fill_null(0).to_numpy()
    texts = known_texts(collection, doc_ids)
    judged = collection.qrels(split)
    negatives = [(q, d) for q, d, r in zip(query_ids, doc_ids, relevance, strict=True) if r <= 0]
    positive_texts = positives_by_text(judged, texts, collection)
    checks = {
        "positives among negatives, by id": _check(negatives, lambda q, d: judged.get(q, {}).get(d, 0) > 0),
        "positives among negatives, by text": _check(
            negatives, lambda q, d: d in texts and normal(texts[d]) in positive_texts.get(q, ())
        ),
        "unknown document ids": _check(zip(query_ids, doc_ids, strict=True), lambda q, d: d not in texts),
        "empty documents": _check(
            zip(query_ids, doc_ids, strict=True), lambda q, d: d in texts and not texts[d].strip()
        ),
        "the same text twice in a list": _repeated(rows, texts),
        "queries without a positive": _check(
            [(q, "") for q in dict.fromkeys(query_ids)], lambda q, _: not any(g > 0 for g in judged.get(q, {}).values())
        ),
    }
    return {
        "split": split,
        "checks": checks,
        "rows": {"in": rows_in, "out": rows.num_rows, "dropped": dict(dropped)},
        "score_histograms": histograms(rows, relevance),
    }


def _check(pairs: Iterable[tuple[str, str]], is_bad: Any) -> dict[str, Any]:
    of, bad = 0, []
    for query_id, doc_id in pairs:
        of += 1
        if is_bad(query_id, doc_id):
            bad.append({"query_id": query_id, **({"doc_id": doc_id} if doc_id else {})})
    return {"count": len(bad), "of": of, "examples": bad[:NUM_EXAMPLES]}


def known_texts(collection: Collection, doc_ids: Iterable[str]) -> dict[str, str]:
    """Texts of the documents that the collection has; unknown ids are left out, to be counted."""
    from retkd.errors import DataError

    wanted = list(dict.fromkeys(doc_ids))
    try:
        return {d.doc_id: d.full_text for d in collection.documents_by_id(wanted)}
    except DataError:
        found = {}
        for doc_id in wanted:
            try:
                found[doc_id] = next(iter(collection.documents_by_id([doc_id]))).full_text
            except DataError:
                continue
        return found


def normal(text: str) -> str:
    """A text without case and with single spaces: what two copies of a passage have in common."""
    return " ".join(text.lower().split())


def positives_by_text(
    judged: Mapping[str, Mapping[str, int]], texts: Mapping[str, str], collection: Collection
) -> dict[str, set[str]]:
    """query_id -> normalised texts of its judged positives."""
    ids = {d for grades in judged.values() for d, grade in grades.items() if grade > 0 and d not in texts}
    whole = {**texts, **known_texts(collection, sorted(ids))}
    return {
        q: {normal(whole[d]) for d, grade in grades.items() if grade > 0 and d in whole} for q, grades in judged.items()
    }


def _repeated(rows: pa.Table, texts: Mapping[str, str]) -> dict[str, Any]:
    doc_ids, bad = rows["doc_id"].to_pylist(), []
    for query_id, start, stop in table.groups(rows):
        seen: dict[str, str] = {}
        for doc_id in doc_ids[start:stop]:
            text = normal(texts.get(doc_id, doc_id))
            if text in seen:
                bad.append({"query_id": query_id, "doc_id": doc_id, "same_as": seen[text]})
            seen.setdefault(text, doc_id)
    return {"count": len(bad), "of": rows.num_rows, "examples": bad[:NUM_EXAMPLES]}


def histograms(rows: pa.Table, relevance: np.ndarray) -> dict[str, Any]:
    """For each teacher and the miner: counts of positives' and negatives' scores over common bin edges."""
    found = {}
    for name in ["score", *table.teacher_columns(rows)]:
        column = rows[name].to_numpy(zero_copy_only=False).astype(np.float64)
        here = ~np.isnan(column)
        if not here.any():
            continue
        edges = np.histogram_bin_edges(column[here], bins=NUM_BINS)
        for label, group in (("positives", relevance > 0), ("negatives", relevance <= 0)):
            counts, _ = np.histogram(column[here & group], bins=edges)
            found[f"{name.removeprefix(table.TEACHER)}: {label}"] = {"edges": edges.tolist(), "counts": counts.tolist()}
    return found
