"""The queries that a student wins and loses most against the baseline, with the texts that tell why."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from retkd.collections.base import Collection
from retkd.evaluation.measures import Values
from retkd.excerpt import excerpt


def won_lost(
    values: Values,
    firsts: Mapping[str, Mapping[str, str]],
    collection: Collection,
    split: str,
    measure: str,
    student: str,
    baseline: str,
    num_examples: int,
) -> dict[str, Any]:
    """Counts of queries won, lost and tied, and the ``num_examples`` largest of both.

    ``firsts`` maps a system to its first document for each query. Each example has the texts of its query, of one
    judged positive (the highest grade, then the smallest id) and of every system's first document, cut at 400
    characters. Empty when either system is missing.
    """
    if not {student, baseline} <= set(values.systems):
        return {"measure": measure, "student": student, "baseline": baseline, "num_queries": 0, "won": [], "lost": []}
    differences = values.of(student, measure) - values.of(baseline, measure)
    order = np.argsort(-differences, kind="stable")
    won = [i for i in order[:num_examples] if differences[i] > 0]
    lost = [i for i in order[::-1][:num_examples] if differences[i] < 0]
    examples = _Examples(values, firsts, collection, split, measure, [*won, *lost])
    return {
        "measure": measure,
        "student": student,
        "baseline": baseline,
        "num_queries": len(differences),
        "num_won": int((differences > 0).sum()),
        "num_lost": int((differences < 0).sum()),
        "num_tied": int((differences == 0).sum()),
        "won": [examples.told(i, float(differences[i])) for i in won],
        "lost": [examples.told(i, float(differences[i])) for i in lost],
    }


class _Examples:
    """Texts of the chosen queries, read from the collection in one go."""

    def __init__(
        self,
        values: Values,
        firsts: Mapping[str, Mapping[str, str]],
        collection: Collection,
        split: str,
        measure: str,
        chosen: Sequence[int],
    ) -> None:
        self.values, self.firsts, self.measure = values, firsts, measure
        self.qrels = collection.qrels(split)
        ids = {values.query_ids[i] for i in chosen}
        self.queries = {q.query_id: q.text for q in collection.queries(split) if q.query_id in ids}
        wanted = {d for query_id in ids for d in [self.positive(query_id), *self.top(query_id).values()] if d}
        self.texts = {d.doc_id: d.full_text for d in collection.documents_by_id(sorted(wanted))}

    def positive(self, query_id: str) -> str | None:
        """The document with the highest positive grade; the smallest id among equals."""
        judged = sorted(self.qrels[query_id].items(), key=lambda pair: (-pair[1], pair[0]))
        return judged[0][0] if judged and judged[0][1] > 0 else None

    def top(self, query_id: str) -> dict[str, str]:
        """system -> its first document, where it found any."""
        return {system: found[query_id] for system, found in self.firsts.items() if query_id in found}

    def told(self, query: int, difference: float) -> dict[str, Any]:
        """One example."""
        query_id = self.values.query_ids[query]
        positive = self.positive(query_id)
        scores = {system: float(self.values.of(system, self.measure)[query]) for system in self.values.systems}
        return {
            "query_id": query_id,
            "query": excerpt(self.queries[query_id]),
            "difference": difference,
            "values": scores,
            "positive": self.document(query_id, positive) if positive else None,
            "top": {system: self.document(query_id, d) for system, d in self.top(query_id).items()},
        }

    def document(self, query_id: str, doc_id: str) -> dict[str, Any]:
        """A document as shown: id, text, grade (null = unjudged)."""
        return {"doc_id": doc_id, "text": excerpt(self.texts[doc_id]), "grade": self.qrels[query_id].get(doc_id)}
