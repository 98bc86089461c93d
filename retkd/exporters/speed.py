"""How fast queries are encoded: one by one, as they come in, and many at once."""

import time
from collections.abc import Sequence
from statistics import median

from retkd.exporters.base import Encodes

ONE_BY_ONE, AT_ONCE = 50, 200


def query_speed(encoder: Encodes, queries: Sequence[str], tokens_per_batch: int | None) -> dict[str, float]:
    """Median milliseconds of a single query over 50, and queries a second over 200 in batches sorted by length."""
    texts = list(queries)
    encoder.represented(texts[:1], "query")
    singles = []
    for text in texts[:ONE_BY_ONE]:
        began = time.perf_counter()
        encoder.represented([text], "query")
        singles.append(time.perf_counter() - began)
    began = time.perf_counter()
    encoder.represented(texts[:AT_ONCE], "query", tokens_per_batch)
    seconds = time.perf_counter() - began
    return {"ms_per_single_query": 1000 * median(singles), "queries_per_second": len(texts[:AT_ONCE]) / seconds}


def document_speed(encoder: Encodes, documents: Sequence[str], tokens_per_batch: int | None) -> dict[str, float]:
    """Documents a second over at most 200, in batches sorted by length."""
    texts = list(documents)[:AT_ONCE]
    encoder.represented(texts[:1], "document")
    began = time.perf_counter()
    encoder.represented(texts, "document", tokens_per_batch)
    return {"documents_per_second": len(texts) / (time.perf_counter() - began)}
