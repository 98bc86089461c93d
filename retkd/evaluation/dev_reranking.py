"""A look at dev during training: re-rank the mined candidates of some dev queries with the model as it is."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from retkd import candidates as table
from retkd.collections.base import Collection
from retkd.stage import Inputs


@dataclass(frozen=True)
class Reranking:
    """Some dev queries with their candidates. ``rows`` are (query id, doc id) pairs, query by query."""

    queries: dict[str, str]
    documents: dict[str, str]
    rows: list[tuple[str, str]]
    qrels: dict[str, dict[str, int]]

    @classmethod
    def of(cls, candidates: pa.Table, collection: Collection, num_queries: int) -> "Reranking":
        """The lists of ``num_queries`` judged queries: those with the smallest SHA-256 of their id."""
        qrels = collection.qrels("dev")
        doc_ids = candidates["doc_id"].to_pylist()
        lists = [(q, doc_ids[start:stop]) for q, start, stop in table.groups(candidates) if q in qrels]
        lists = sorted(lists, key=lambda item: sha256(item[0].encode()).digest())[:num_queries]
        texts = {q.query_id: q.text for q in collection.queries("dev")}
        wanted = sorted({doc_id for _, ids in lists for doc_id in ids})
        documents = {d.doc_id: d.full_text for d in collection.documents_by_id(wanted)}
        rows = [(query_id, doc_id) for query_id, ids in lists for doc_id in ids]
        return cls({q: texts[q] for q, _ in lists}, documents, rows, qrels)

    def pairs(self) -> list[tuple[str, str]]:
        """The texts of every row."""
        return [(self.queries[query_id], self.documents[doc_id]) for query_id, doc_id in self.rows]

    def positions(self) -> tuple[np.ndarray, np.ndarray]:
        """Of every row the place of its query in ``queries`` and of its document in ``documents``."""
        query_row = {query_id: row for row, query_id in enumerate(self.queries)}
        doc_row = {doc_id: row for row, doc_id in enumerate(self.documents)}
        left, right = [query_row[q] for q, _ in self.rows], [doc_row[d] for _, d in self.rows]
        return np.array(left, dtype=np.int64), np.array(right, dtype=np.int64)

    def measure_of(self, encoder: Any, measure: str, tokens_per_batch: int | None) -> float:
        """The mean of a measure over the queries, re-ranked by an encoder of any kind."""
        documents = encoder.represented(list(self.documents.values()), "document", tokens_per_batch)
        queries = encoder.represented(list(self.queries.values()), "query", tokens_per_batch)
        return self.mean(measure, encoder.pair_scores(queries, documents, *self.positions()))

    def mean(self, measure: str, scores: np.ndarray) -> float:
        """Mean of an ir_measures measure over the queries."""
        import ir_measures

        from retkd.evaluation.names import ir_measure

        run: dict[str, dict[str, float]] = {query_id: {} for query_id in self.queries}
        for (query_id, doc_id), score in zip(self.rows, scores, strict=True):
            run[query_id][doc_id] = float(score)
        parsed = ir_measure(measure)
        judged = {query_id: self.qrels[query_id] for query_id in run}
        return float(ir_measures.calc_aggregate([parsed], judged, run)[parsed])


def dev_look(
    config: Any, inputs: Inputs, artifact: Path, measured: Callable[[Reranking], float]
) -> Callable[[], dict[str, float]] | None:
    """What a training calls to look at dev: its primary measure. None where it looks never, or ``artifact`` has no dev."""
    if config.evaluate_every is None or "dev" not in table.splits(artifact):
        return None
    lists = Reranking.of(table.read(artifact / "dev"), inputs.collection, config.dev_queries)
    return lambda: {config.primary: measured(lists)}
