"""Apply the rules of a select stage to a table: filters, sampler, row accounting."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from retkd import candidates as table
from retkd.collections.base import Collection
from retkd.selection.audit import known_texts, normal, positives_by_text
from retkd.selection.filters import Filter
from retkd.selection.samplers import Sampler, generator_for


class Keep:
    """Which rows stay, and why the others went: the first rule that takes a row is its reason."""

    def __init__(self, num_rows: int) -> None:
        self.rows = np.ones(num_rows, dtype=bool)
        self.dropped: Counter[str] = Counter()

    def drop(self, rows: np.ndarray, reason: str) -> None:
        """Drop the rows (bool) that are still there."""
        gone = rows & self.rows
        self.dropped[reason] += int(gone.sum())
        self.rows &= ~gone


def select(
    rows: pa.Table,
    collection: Collection,
    split: str,
    *,
    filters: Sequence[Filter],
    sampler: Sampler,
    teacher: str | None,
    unlabelled: str,
    seed: int,
) -> tuple[pa.Table, dict[str, int]]:
    """The rows that the student learns from, and how many rows each reason took.

    All judged positives of a query stay. Rows judged not relevant and unjudged rows are its possible negatives.
    """
    keep = Keep(rows.num_rows)
    relevance = rows["relevance"].fill_null(0).to_numpy()
    positive = relevance > 0
    lists = list(table.groups(rows))
    if unlabelled == "drop":
        without = np.zeros(rows.num_rows, dtype=bool)
        for _, start, stop in lists:
            without[start:stop] = not positive[start:stop].any()
        keep.drop(without, "query without a judged positive")
    if teacher is not None:
        keep.drop(rows[table.TEACHER + teacher].is_null().to_numpy(zero_copy_only=False), f"not scored by {teacher}")
    keep.drop(_copies_of_positives(rows, positive, collection, split), "same text as a positive of the query")
    for rule in filters:
        rule.require(table.scale_of(rows, rule.teacher))
        keep.drop(~positive & ~_filtered(rule, rows, positive, lists), f"{rule.kind} filter on {rule.teacher}")  # type: ignore[attr-defined]
    keep.drop(_not_sampled(sampler, keep.rows, positive, lists, seed), f"not sampled ({sampler.kind})")  # type: ignore[attr-defined]
    short = np.zeros(rows.num_rows, dtype=bool)
    for _, start, stop in lists:
        short[start:stop] = keep.rows[start:stop].sum() < 2
    keep.drop(short, "fewer than two candidates left for the query")
    return rows.filter(pa.array(keep.rows)), {reason: count for reason, count in keep.dropped.items() if count}


def _filtered(rule: Filter, rows: pa.Table, positive: np.ndarray, lists: Sequence[Any]) -> np.ndarray:
    scores = rows[table.TEACHER + rule.teacher].to_numpy(zero_copy_only=False).astype(np.float64)
    best = np.full(rows.num_rows, np.nan)
    for _, start, stop in lists:
        of_positives = scores[start:stop][positive[start:stop]]
        of_positives = of_positives[~np.isnan(of_positives)]
        best[start:stop] = of_positives.max() if len(of_positives) else np.nan
    return np.asarray(np.isnan(scores) | rule.keeps(scores, best))


def _not_sampled(
    sampler: Sampler, kept: np.ndarray, positive: np.ndarray, lists: Sequence[Any], seed: int
) -> np.ndarray:
    gone = np.zeros(len(kept), dtype=bool)
    for query_id, start, stop in lists:
        possible = start + np.flatnonzero(kept[start:stop] & ~positive[start:stop])
        gone[possible] = True
        gone[possible[sampler.sample(len(possible), generator_for(seed, query_id))]] = False
    return gone


def _copies_of_positives(rows: pa.Table, positive: np.ndarray, collection: Collection, split: str) -> np.ndarray:
    doc_ids = rows["doc_id"].to_pylist()
    texts = known_texts(collection, doc_ids)
    of_positives = positives_by_text(collection.qrels(split), texts, collection)
    copies = np.zeros(rows.num_rows, dtype=bool)
    for query_id, start, stop in table.groups(rows):
        own = of_positives.get(query_id, set())
        for row in range(start, stop):
            doc_id = doc_ids[row]
            copies[row] = not positive[row] and doc_id in texts and normal(texts[doc_id]) in own
    return copies
