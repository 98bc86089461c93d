"""Means by language: of queries in one language whose relevant documents are in another."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np

from retkd.collections.base import Collection
from retkd.evaluation.measures import Values

PEEKED = 20
"""Queries whose first relevant document is looked at, to see whether documents tell their language at all."""


def language_pairs(collection: Collection, split: str) -> dict[str, str]:
    """query_id -> ``en-de``, the language of the query and those of its relevant documents; empty where none is told.

    A language that is not told is ``?``; relevant documents in several languages are ``de+en``.
    """
    relevant = {q: [d for d, grade in judged.items() if grade > 0] for q, judged in collection.qrels(split).items()}
    queries = {query.query_id: query.language for query in collection.queries(split) if query.query_id in relevant}
    some = [ids[0] for ids in islice((ids for ids in relevant.values() if ids), PEEKED)]
    if not any(queries.values()) and not any(each.language for each in collection.documents_by_id(some)):
        return {}
    wanted = sorted({doc_id for ids in relevant.values() for doc_id in ids})
    languages = {each.doc_id: each.language or "?" for each in collection.documents_by_id(wanted)}
    found = {query_id: "+".join(sorted({languages[doc_id] for doc_id in ids})) for query_id, ids in relevant.items()}
    return {query_id: f"{language or '?'}-{found[query_id] or '?'}" for query_id, language in queries.items()}


def by_language(values: Values, pairs: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Pair of languages -> ``num_queries`` and ``means``: system -> measure -> mean over the pair's queries."""
    own = np.array([pairs.get(query_id, "?-?") for query_id in values.query_ids])
    return {
        pair: {
            "num_queries": int((own == pair).sum()),
            "means": {
                system: {name: float(values.of(system, name)[own == pair].mean()) for name in values.measures}
                for system in values.systems
            },
        }
        for pair in sorted(set(own))
    }
