"""BM25 through bm25s, in this process, with Lucene's formula."""

import json
from array import array
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from retkd.collections.base import Query
from retkd.collections.cache_folder import published
from retkd.errors import DataError
from retkd.miners.analyzers import Analyzer, analyzer
from retkd.miners.base import NOTHING, Miner, Ranking
from retkd.progress import say
from retkd.stage import Inputs


class BM25(Miner):
    """Lucene's BM25 (k1 0.9, b 0.4 as in Anserini). The index is built once per collection and memory-mapped."""

    kind: Literal["bm25"] = "bm25"
    k1: float = Field(default=0.9, ge=0.0)
    b: float = Field(default=0.4, ge=0.0, le=1.0)
    analyzer: Analyzer = "english"

    def prepare(self, inputs: Inputs) -> object:
        """(bm25s index, document ids)."""
        import bm25s

        address = f"{inputs.collection.digest}|{self.k1}|{self.b}|{self.analyzer}|bm25s {bm25s.__version__}"
        folder = inputs.store / "bm25" / sha256(address.encode()).hexdigest()[:24]
        published(folder, partial(self._build, inputs))
        ids = json.loads((folder / "doc_ids.json").read_text(encoding="utf-8"))
        return bm25s.BM25.load(str(folder), mmap=True, show_progress=False), ids

    def rank(
        self, queries: Sequence[Query], inputs: Inputs, prepared: object, depth: int, split: str | None
    ) -> list[Ranking]:
        """Documents with a positive score, by score, then in the collection's order."""
        ready: Any = prepared
        index, doc_ids = ready
        analyze = analyzer(self.analyzer)
        return [self._ranking(index, doc_ids, analyze(query.text), depth) for query in queries]

    def _ranking(self, index: Any, doc_ids: list[str], terms: list[str], depth: int) -> Ranking:
        term_ids = index.get_tokens_ids(terms)
        if not len(term_ids):
            return NOTHING
        scores = np.asarray(index.get_scores_from_ids(term_ids), dtype=np.float32)
        rows = best_rows(scores, depth)
        return Ranking([doc_ids[row] for row in rows], scores[rows], [self.source] * len(rows))

    def _build(self, inputs: Inputs, folder: Path) -> None:
        import bm25s
        from bm25s.tokenization import Tokenized

        say(f"bm25: indexing {inputs.collection.num_documents:,} documents")
        ids, vocabulary, doc_ids = self._terms(inputs)
        if not vocabulary:
            raise DataError(
                "no document has a single term to index",
                where=f"analyzer {self.analyzer}",
                seen=f"{len(doc_ids)} documents",
                next_step="look at the corpus: are its texts empty?",
            )
        index = bm25s.BM25(method="lucene", k1=self.k1, b=self.b)
        index.index(Tokenized(ids=ids, vocab=vocabulary), show_progress=False)
        index.save(str(folder), show_progress=False)
        (folder / "doc_ids.json").write_text(json.dumps(doc_ids), encoding="utf-8")

    def _terms(self, inputs: Inputs) -> tuple[list[Any], dict[str, int], list[str]]:
        analyze = analyzer(self.analyzer)
        vocabulary: dict[str, int] = {}
        ids, doc_ids = [], []
        for document in inputs.collection.documents():
            ids.append(array("i", [vocabulary.setdefault(t, len(vocabulary)) for t in analyze(document.full_text)]))
            doc_ids.append(document.doc_id)
        return ids, vocabulary, doc_ids


def best_rows(scores: np.ndarray, depth: int) -> np.ndarray:
    """Rows of the ``depth`` highest positive scores, descending; equal scores by row, also at the cut.

    >>> best_rows(np.array([1.0, 2.0, 0.0, 2.0, 1.0]), 3).tolist()
    [1, 3, 0]
    """
    if len(scores) > depth:
        cut = np.partition(scores, len(scores) - depth)[len(scores) - depth]
        rows = np.flatnonzero(scores >= max(cut, np.nextafter(np.float32(0), np.float32(1))))
    else:
        rows = np.flatnonzero(scores > 0)
    return rows[np.argsort(-scores[rows], kind="stable")][:depth]
