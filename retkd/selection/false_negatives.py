"""How many sampled negatives are relevant, and what each filter takes: measured by judgements that no rule has seen.

Filters never take a judged positive, so what they would do with one is found by hiding it:

* with ``judgements: SPLIT``, the relevant documents are those that this split grades at ``relevant_from`` or above, and
  that the training split does not already know as positives. Nothing needs to be hidden;
* without, one positive of each query, drawn by the seed among those of the highest grade, stays known, and all its other
  judged documents become unjudged, as if the collection had stopped after the first. What a teacher learned from the
  hidden ones it still knows: recall is then too high.

Measured are the candidates that a miner found, of queries with such a judgement; unjudged ones count nowhere. Where these
judgements are not a random sample of the candidates (a pool is not), neither is the share. The intervals take pairs for
independent, which those of one query are not: with few queries they are too narrow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import pyarrow as pa

from retkd import candidates as table
from retkd.collections.base import Collection
from retkd.selection.filters import Filter
from retkd.selection.judgements import Audited
from retkd.selection.lists import Lists
from retkd.selection.rules import select
from retkd.selection.samplers import Sampler, generator_for

Grades = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Truth:
    """``known``: the judgements that the rules may see. ``grades``: those that measure them. ``where`` says which these are."""

    known: Grades
    grades: Grades
    where: str


def measured(
    rows: pa.Table,
    collection: Collection,
    split: str,
    audited: Audited,
    *,
    filters: Sequence[Filter],
    sampler: Sampler,
    teacher: str | None,
    unlabelled: str,
    seed: int,
) -> dict[str, Any] | None:
    """The measure as JSON data; None when no candidate of a query has a judgement to measure by."""
    truth = truth_of(collection, split, audited, seed)
    rows = _as_known(rows, truth)
    grades = [truth.grades.get(q, {}).get(d) for q, d in _pairs(rows)]
    lists = Lists.of(rows)
    judged = np.array([grade is not None for grade in grades], dtype=bool) & ~lists.positive
    relevant = judged & np.array([grade is not None and grade >= audited.relevant_from for grade in grades], dtype=bool)
    if not relevant.any():
        return None
    rules: dict[str, Any] = {"filters": filters, "sampler": sampler, "teacher": teacher, "unlabelled": unlabelled}
    chosen = select(rows, collection, split, **rules, seed=seed, judged=truth.known)
    complete = bool((judged & ~relevant).any())
    kept = [(rule.reason, rule.kept(lists)) for rule in filters]
    if len(kept) > 1:
        kept.append(("all filters together", np.all([mask for _, mask in kept], axis=0)))
    return {
        "judgements": truth.where,
        "queries": len({q for (q, _), is_judged in zip(_pairs(rows), judged, strict=True) if is_judged}),
        "both": complete,
        "mined": share(relevant, judged) if complete else None,
        "sampled": share(relevant & chosen.kept, judged & chosen.kept) if complete else None,
        "filters": [_filter(name, mask, judged, relevant, complete) for name, mask in kept],
    }


def truth_of(collection: Collection, split: str, audited: Audited, seed: int) -> Truth:
    """What is known and what is hidden."""
    own = collection.qrels(split)
    if audited.judgements is not None:
        said = collection.qrels(audited.judgements)
        known = {q: {d for d, grade in grades.items() if grade > 0} for q, grades in own.items()}
        rest = {q: {d: g for d, g in said[q].items() if d not in known.get(q, ())} for q in said if q in own}
        where = f"of the split {audited.judgements}, relevant from grade {audited.relevant_from}"
        return Truth(own, rest, where)
    shown: dict[str, dict[str, int]] = {}
    hidden: dict[str, dict[str, int]] = {}
    for query_id, grades in own.items():
        best = sorted(d for d, grade in grades.items() if grade == max(grades.values()) and grade > 0)
        if not best or len(grades) < 2:
            continue
        kept = best[int(generator_for(seed, f"known positive of {query_id}").integers(len(best)))]
        shown[query_id] = {kept: grades[kept]}
        hidden[query_id] = {d: grade for d, grade in grades.items() if d != kept}
    where = f"of the split {split} itself, one positive of each query known and the rest hidden"
    return Truth(shown, hidden, f"{where}, relevant from grade {audited.relevant_from}")


def _as_known(rows: pa.Table, truth: Truth) -> pa.Table:
    """The rows of queries that are measured, with ``relevance`` as the rules may know it; unfound hidden positives go."""
    queries = rows["query_id"].to_pylist()
    rows = rows.filter(pa.array([q in truth.grades and q in truth.known for q in queries], pa.bool_()))
    known = [truth.known[q].get(d) for q, d in _pairs(rows)]
    found = table.mined(rows)
    relevance = pa.array(known, pa.int8())
    at = rows.schema.get_field_index("relevance")
    rows = rows.set_column(at, rows.schema.field(at), relevance)
    return rows.filter(pa.array(found | np.array([(grade or 0) > 0 for grade in known], dtype=bool)))


def _pairs(rows: pa.Table) -> list[tuple[str, str]]:
    return list(zip(rows["query_id"].to_pylist(), rows["doc_id"].to_pylist(), strict=True))


def _filter(name: str, kept: np.ndarray, judged: np.ndarray, relevant: np.ndarray, complete: bool) -> dict[str, Any]:
    return {
        "filter": name,
        "precision": share(relevant & ~kept, judged & ~kept) if complete else None,
        "recall": share(relevant & ~kept, relevant),
        "kept": share(relevant & kept, judged & kept) if complete else None,
    }


def share(part: np.ndarray, whole: np.ndarray) -> dict[str, Any]:
    """Counts of two masks, their ratio, and its 95 % interval; no ratio of nothing."""
    count, total = int(part.sum()), int(whole.sum())
    low, high = wilson(count, total) if total else (None, None)
    return {"count": count, "of": total, "share": count / total if total else None, "low": low, "high": high}


def wilson(count: int, total: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval of a share, 95 % by default; it holds also near 0 and 1. Wilson 1927.

    >>> tuple(round(end, 4) for end in wilson(5, 10)), tuple(round(end, 4) for end in wilson(0, 10))
    ((0.2366, 0.7634), (0.0, 0.2775))
    """
    share, square = count / total, z * z / total
    centre = (share + square / 2) / (1 + square)
    half = z * sqrt(share * (1 - share) / total + square / (4 * total)) / (1 + square)
    return max(0.0, centre - half), min(1.0, centre + half)
