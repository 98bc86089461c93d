"""The members of an ensemble side by side: their raw scores of the same rows, with the grades of these rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa

from retkd import candidates as table
from retkd.collections.base import Qrels
from retkd.errors import DataError, ScaleError
from retkd.teachers.base import Rows
from retkd.teachers.score_lists import kendall_tau, rows_of_lists


@dataclass(frozen=True)
class MemberLists:
    """Rows of one split. ``scores`` is float64 ``[member, row]``, ``grades`` is 0 where unjudged.

    ``found`` marks rows that a miner brought: a judged positive that was added from the qrels is not one.
    """

    split: str
    members: tuple[str, ...]
    query_ids: np.ndarray
    doc_ids: np.ndarray
    grades: np.ndarray
    found: np.ndarray
    scores: np.ndarray

    def where(self, rows: np.ndarray) -> "MemberLists":
        """Some of the rows."""
        kept = {name: getattr(self, name)[rows] for name in ("query_ids", "doc_ids", "grades", "found")}
        return replace(self, **kept, scores=self.scores[:, rows])

    @property
    def num_queries(self) -> int:
        """How many lists there are."""
        return len(np.unique(self.query_ids))

    def lists(self) -> Iterator[tuple[str, np.ndarray]]:
        """(query_id, its rows), by query_id."""
        for rows in rows_of_lists(self.query_ids):
            yield str(self.query_ids[rows[0]]), rows

    def ndcg(self, qrels: Qrels, cutoff: int) -> np.ndarray:
        """``[member]``: mean nDCG@cutoff (linear gain) of the lists that each member ranks; ties as the miner ranks them."""
        import ir_measures

        judged = {query_id: dict(qrels[query_id]) for query_id, _ in self.lists()}
        measure = ir_measures.nDCG @ cutoff
        values = [ir_measures.calc_aggregate([measure], judged, self._run(row))[measure] for row in self.scores]
        return np.array(values, dtype=np.float64)

    def _run(self, scores: np.ndarray) -> dict[str, dict[str, float]]:
        run = {}
        for query_id, rows in self.lists():
            order = rows[np.argsort(-scores[rows], kind="stable")]
            run[query_id] = {str(self.doc_ids[row]): -float(place) for place, row in enumerate(order)}
        return run

    def correlation(self) -> np.ndarray:
        """``[member]``: mean Kendall's tau-b of scores and grades over the lists where both vary; 0 without such a list."""
        found = [[kendall_tau(row[rows], self.grades[rows]) for _, rows in self.lists()] for row in self.scores]
        return np.array([np.nanmean(taus) if np.isfinite(taus).any() else 0.0 for taus in found])

    def agreement(self) -> np.ndarray:
        """``[member, query]``: the share of (relevant, other) pairs in the right order, ties half; NaN without a pair."""
        found = np.full((len(self.members), self.num_queries), np.nan)
        for column, (_, rows) in enumerate(self.lists()):
            relevant = self.grades[rows] > 0
            if relevant.any() and not relevant.all():
                above = self.scores[:, rows[relevant], None] - self.scores[:, None, rows[~relevant]]
                found[:, column] = ((np.sign(above) + 1) / 2).mean(axis=(1, 2))
        return found


def member_lists(
    rows: Rows, members: Sequence[str], *, ranks_do: bool, missing: Literal["error", "minimum"] = "error"
) -> MemberLists:
    """The chosen rows of a split. Raises when a member is unknown, has a gap, or only ranks where ``ranks_do`` is False.

    ``missing: minimum`` fills a gap with the member's lowest score in the query's list, or with 0 where it has none there.
    """
    of = rows.table.take(pa.array(rows.chosen))
    return MemberLists(
        split=rows.split,
        members=tuple(members),
        query_ids=of["query_id"].to_numpy(zero_copy_only=False),
        doc_ids=of["doc_id"].to_numpy(zero_copy_only=False),
        grades=of["relevance"].fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64),
        found=table.mined(of),
        scores=np.array([_scores(of, member, rows.split, ranks_do, missing) for member in members], dtype=np.float64),
    )


def _scores(
    rows: pa.Table, member: str, split: str, ranks_do: bool, missing: Literal["error", "minimum"]
) -> np.ndarray:
    if table.scale_of(rows, member) == "rank" and not ranks_do:
        raise ScaleError(
            "an ensemble of scores cannot take a teacher that only ranks",
            seen=member,
            next_step="fuse the ranks: `calibration: {kind: rank_fusion}`",
        )
    column = rows[table.TEACHER + member].to_numpy(zero_copy_only=False).astype(np.float64)
    gaps = bool(np.isnan(column).any())
    if gaps and missing == "error":
        raise DataError(
            f"the ensemble's member {member!r} has not scored every row",
            where=f"split {split}",
            seen=f"{int(np.isnan(column).sum()):,} rows without a score",
            next_step="let it score all rows, or set `missing: minimum`, where each teacher has ranked candidates of its own",
        )
    return _filled(rows["query_id"].to_numpy(zero_copy_only=False), column) if gaps else column


def _filled(query_ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The scores with each gap at the lowest of its list."""
    filled = scores.copy()
    for rows in rows_of_lists(query_ids):
        gaps = np.isnan(scores[rows])
        if gaps.any():
            filled[rows[gaps]] = 0.0 if gaps.all() else scores[rows][~gaps].min()
    return filled


def judged_rows(lists: Mapping[str, MemberLists], split: str, qrels: Qrels | None, reader: str) -> MemberLists:
    """The rows that a miner found for judged queries of ``split``; :class:`DataError` when there is none."""
    if split not in lists:
        raise DataError(
            f"{reader} learns from the judgements of the split {split!r}, which the candidates table does not have",
            seen=", ".join(lists),
            next_step=f"mine {split} too (`splits` of the mine stage), or name another split",
        )
    own = lists[split]
    known = {query_id for query_id in np.unique(own.query_ids) if query_id in (qrels or {})}
    kept = own.where(own.found & np.array([query_id in known for query_id in own.query_ids], dtype=bool))
    if not len(kept.query_ids) or not (kept.grades > 0).any():
        raise DataError(
            f"{reader} learns from the judgements of the split {split!r}, and no candidate there is judged relevant",
            seen=f"{len(known)} judged queries, {len(kept.query_ids)} candidates of theirs",
            next_step="mine deeper, or take an ensemble that needs no labels: fixed weights, a calibration other than isotonic",
        )
    return kept
