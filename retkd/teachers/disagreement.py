"""Where teachers differ most: Kendall's tau of each query's two rankings, and the pairs they place furthest apart."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa

from retkd import candidates as table
from retkd.collections.base import Collection
from retkd.excerpt import excerpt
from retkd.teachers.score_lists import kendall_tau, rows_of_lists, standardised_lists

NUM_EXAMPLES = 5
MOST_LISTS = 2000
"""Lists of a split whose tau is computed: those with the smallest SHA-256 of their query's id."""


def disagreement(
    tables: Mapping[str, pa.Table], teachers: Sequence[str], collection: Collection
) -> dict[str, list[dict[str, Any]]]:
    """Split -> one entry per pair of teachers, as JSON data. Only rows that both have scored count.

    An entry has the mean, lowest and highest tau, the queries with the lowest, and one (query, document) of each of the
    queries where the two standardised scores are furthest apart, with texts. A teacher that only ranks is standardised
    as it stands, so its distances are those of ranks.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for split, rows in tables.items():
        pairs = [_Pair(rows, one, other) for one, other in combinations(teachers, 2)]
        told = [pair.told(_Texts(collection, split, pair.shown())) for pair in pairs if pair.lists]
        if told:
            found[split] = told
    return found


class _Pair:
    """Two teachers over the rows that both have scored, lists of one left out."""

    def __init__(self, rows: pa.Table, one: str, other: str) -> None:
        self.teachers = (one, other)
        columns = [
            rows[table.TEACHER + name].to_numpy(zero_copy_only=False).astype(np.float64) for name in (one, other)
        ]
        both = np.flatnonzero(~np.isnan(columns[0]) & ~np.isnan(columns[1]))
        taken = rows.take(pa.array(both))
        self.query_ids = taken["query_id"].to_numpy(zero_copy_only=False)
        self.doc_ids, self.grades = taken["doc_id"].to_pylist(), taken["relevance"].to_pylist()
        self.scores = np.array([column[both] for column in columns])
        self.standardised = np.array([standardised_lists(self.query_ids, row) for row in self.scores])
        self.lists = [each for each in rows_of_lists(self.query_ids) if len(each) > 1]
        self.taus = self._taus()

    def _taus(self) -> list[tuple[float, str]]:
        """(tau, query_id), lowest first."""
        ids = [str(self.query_ids[rows[0]]) for rows in self.lists]
        order = sorted(range(len(ids)), key=lambda i: sha256(ids[i].encode()).digest())[:MOST_LISTS]
        taus = [(kendall_tau(self.scores[0, self.lists[i]], self.scores[1, self.lists[i]]), ids[i]) for i in order]
        return sorted(tau for tau in taus if np.isfinite(tau[0]))

    def furthest(self) -> list[int]:
        """The row of each list where the standardised scores are furthest apart, the furthest lists first."""
        apart = np.abs(self.standardised[0] - self.standardised[1])
        rows = [int(each[np.argmax(apart[each])]) for each in self.lists]
        return sorted((row for row in rows if apart[row] > 0), key=lambda row: (-apart[row], row))[:NUM_EXAMPLES]

    def shown(self) -> tuple[set[str], set[str]]:
        """Ids of the queries and documents whose texts are shown."""
        rows = self.furthest()
        queries = {str(self.query_ids[row]) for row in rows} | {query_id for _, query_id in self.taus[:NUM_EXAMPLES]}
        return queries, {self.doc_ids[row] for row in rows}

    def told(self, texts: "_Texts") -> dict[str, Any]:
        values = [tau for tau, _ in self.taus]
        lowest = [
            {"query_id": q, "query": texts.queries[q], "tau": round(tau, 6)} for tau, q in self.taus[:NUM_EXAMPLES]
        ]
        return {
            "teachers": list(self.teachers),
            "num_queries": len(values),
            "of_queries": len(self.lists),
            "tau": {
                "mean": round(float(np.mean(values)), 6),
                "lowest": round(values[0], 6),
                "highest": round(values[-1], 6),
            }
            if values
            else None,
            "queries": lowest,
            "pairs": [self._example(row, texts) for row in self.furthest()],
        }

    def _example(self, row: int, texts: "_Texts") -> dict[str, Any]:
        query_id, doc_id = str(self.query_ids[row]), self.doc_ids[row]
        scores, standardised = (
            dict(zip(self.teachers, map(float, of[:, row].round(6)), strict=True))
            for of in (self.scores, self.standardised)
        )
        return {
            "query_id": query_id,
            "query": texts.queries[query_id],
            "doc_id": doc_id,
            "text": texts.documents[doc_id],
            "grade": self.grades[row],
            "scores": scores,
            "standardised": standardised,
            "difference": round(float(self.standardised[0, row] - self.standardised[1, row]), 6),
        }


class _Texts:
    """Excerpts of the texts that are shown."""

    def __init__(self, collection: Collection, split: str, ids: tuple[set[str], set[str]]) -> None:
        queries, documents = ids
        self.queries = {q.query_id: excerpt(q.text) for q in collection.queries(split) if q.query_id in queries}
        self.documents = {d.doc_id: excerpt(d.full_text) for d in collection.documents_by_id(sorted(documents))}
