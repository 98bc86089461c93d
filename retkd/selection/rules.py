"""Apply the rules of a select stage to a table: filters, sampler, row accounting."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from retkd import candidates as table
from retkd.collections.base import Collection
from retkd.errors import DataError
from retkd.selection.audit import known_texts, normal, positives_by_text
from retkd.selection.denoise import Denoise
from retkd.selection.filters import Filter
from retkd.selection.lists import Lists
from retkd.selection.samplers import Sampler, generator_for

PSEUDO = "+pseudo"
"""What stands after the source of a row that a teacher made a positive."""


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


@dataclass(frozen=True)
class Selection:
    """The rows that the student learns from, which of the given rows these are, and how many rows each reason took."""

    rows: pa.Table
    kept: np.ndarray
    dropped: dict[str, int]
    num_pseudo_positives: int = 0


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
    judged: Mapping[str, Mapping[str, int]] | None = None,
) -> Selection:
    """Filter and sample a table. ``judged`` are the judgements to go by; default: those of the split.

    All positives of a query stay. Rows judged not relevant and unjudged rows are its possible negatives.
    """
    copies = _copies_of_positives(rows, collection, collection.qrels(split) if judged is None else judged)
    for rule in filters:
        rule.check(rows)
    sampler.check(rows)
    rows, promoted = _promoted(rows, filters, copies)
    lists, keep = Lists.of(rows), Keep(rows.num_rows)
    if unlabelled == "drop":
        keep.drop(~lists.has_positive(), "query without a judged positive")
    if teacher is not None:
        keep.drop(rows[table.TEACHER + teacher].is_null().to_numpy(zero_copy_only=False), f"not scored by {teacher}")
    keep.drop(copies & ~lists.positive, "same text as a positive of the query")
    for rule in filters:
        refused = ~rule.kept(lists)
        keep.drop(refused if rule.WHOLE_LISTS else refused & ~lists.positive, rule.reason)
    keep.drop(_not_sampled(sampler, keep.rows, lists, seed), f"not sampled ({sampler.kind})")  # type: ignore[attr-defined]
    short = np.zeros(rows.num_rows, dtype=bool)
    for _, start, stop in lists.groups:
        short[start:stop] = keep.rows[start:stop].sum() < 2
    keep.drop(short, "fewer than two candidates left for the query")
    dropped = {reason: count for reason, count in keep.dropped.items() if count}
    return Selection(rows.filter(pa.array(keep.rows)), keep.rows, dropped, int((promoted & keep.rows).sum()))


def _promoted(rows: pa.Table, filters: Sequence[Filter], copies: np.ndarray) -> tuple[pa.Table, np.ndarray]:
    """The table with pseudo-positives as positives, and which rows these are. Copies of a positive are none."""
    lists = Lists.of(rows)
    promoted = np.zeros(rows.num_rows, dtype=bool)
    for rule in filters:
        if isinstance(rule, Denoise):
            promoted |= rule.promoted(lists) & ~copies
    if not promoted.any():
        return rows, promoted
    relevance = np.where(promoted, 1, rows["relevance"].fill_null(0).to_numpy()).astype(np.int8)
    absent = rows["relevance"].is_null().to_numpy(zero_copy_only=False) & ~promoted
    sources = [s + PSEUDO * p for s, p in zip(rows["source"].to_pylist(), promoted.tolist(), strict=True)]
    for name, column in (
        ("relevance", pa.array(relevance, pa.int8(), mask=absent)),
        ("source", pa.array(sources, pa.string()).dictionary_encode()),
    ):
        at = rows.schema.get_field_index(name)
        rows = rows.set_column(at, rows.schema.field(at), column)
    return rows, promoted


def _not_sampled(sampler: Sampler, kept: np.ndarray, lists: Lists, seed: int) -> np.ndarray:
    gone = np.zeros(len(kept), dtype=bool)
    scores = lists.scores(sampler.by)
    best = lists.best_positive(scores)
    for query_id, start, stop in lists.groups:
        possible = start + np.flatnonzero(kept[start:stop] & ~lists.positive[start:stop])
        if not len(possible):
            continue
        if sampler.by is not None or sampler.NEEDS_DISTANCES:
            _require_scores(sampler, query_id, scores[possible], best[start])
        if sampler.by is not None:
            possible = possible[np.argsort(-scores[possible], kind="stable")]
        gone[possible] = True
        chosen = sampler.choose(scores[possible], float(best[start]), generator_for(seed, query_id))
        gone[possible[chosen]] = False
    return gone


def _require_scores(sampler: Sampler, query_id: str, scores: np.ndarray, positive: float) -> None:
    whose = "the miner" if sampler.by is None else f"teacher {sampler.by!r}"
    if np.isnan(scores).any():
        raise DataError(
            f"the sampler {sampler.kind!r} goes by the scores of {whose}, and possible negatives have none",  # type: ignore[attr-defined]
            where=f"query_id {query_id!r}",
            seen=f"{int(np.isnan(scores).sum())} of {len(scores)} rows without a score",
            next_step=f"drop them with `teacher: {sampler.by}` in this stage, or score deeper",
        )
    if sampler.NEEDS_DISTANCES and np.isnan(positive):
        raise DataError(
            f"the sampler {sampler.kind!r} compares with the score of a positive, and {whose} has scored none",  # type: ignore[attr-defined]
            where=f"query_id {query_id!r}",
            allowed="queries with a positive that has a score; a positive that no miner found has none of the miner",
            next_step="set `by: TEACHER`, with `unlabelled: drop`",
        )


def _copies_of_positives(rows: pa.Table, collection: Collection, judged: Mapping[str, Mapping[str, int]]) -> np.ndarray:
    doc_ids = rows["doc_id"].to_pylist()
    positive = rows["relevance"].fill_null(0).to_numpy() > 0
    texts = known_texts(collection, doc_ids)
    of_positives = positives_by_text(judged, texts, collection)
    copies = np.zeros(rows.num_rows, dtype=bool)
    for query_id, start, stop in table.groups(rows):
        own = of_positives.get(query_id, set())
        for row in range(start, stop):
            doc_id = doc_ids[row]
            copies[row] = not positive[row] and doc_id in texts and normal(texts[doc_id]) in own
    return copies
