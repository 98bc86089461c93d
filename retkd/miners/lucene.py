"""BM25 through Lucene (Pyserini), with pseudo-relevance feedback if it is asked for."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from retkd.collections.base import Query
from retkd.collections.cache_folder import published
from retkd.errors import DataError, MissingExtraError
from retkd.java import require
from retkd.miners.base import NOTHING, Miner, Ranking
from retkd.parts import Part
from retkd.progress import say
from retkd.stage import Inputs

DOCUMENTS_AT_ONCE = 10_000
PURPOSE = "the miner lucene"


class RM3(Part):
    """Lavrenko and Croft 2001 as in Anserini: the query is mixed with the best terms of the documents found first."""

    fb_terms: int = Field(default=10, ge=1)
    fb_docs: int = Field(default=10, ge=1)
    original_query_weight: float = Field(default=0.5, ge=0.0, le=1.0)


class Lucene(Miner):
    """Lucene's BM25 with Anserini's English analyzer: Porter stems without Lucene's 33 stop words.

    The index is built once per collection, with one thread; documents without text are not in it. Scores are rounded by
    Lucene to about four digits.
    """

    kind: Literal["lucene"] = "lucene"
    k1: float = Field(default=0.9, ge=0.0)
    b: float = Field(default=0.4, ge=0.0, le=1.0)
    rm3: RM3 | None = Field(default=None, description="pseudo-relevance feedback; {} for Anserini's settings")

    def prepare(self, inputs: Inputs) -> object:
        """A Pyserini searcher."""
        indexer, searcher = pyserini()
        vectors = "" if self.rm3 is None else " with term vectors"
        address = f"{inputs.collection.digest}|pyserini {version('pyserini')}{vectors}"
        folder = inputs.store / "lucene" / sha256(address.encode()).hexdigest()[:24]
        published(folder, partial(self._build, inputs, indexer))
        opened = searcher(str(folder))
        opened.set_bm25(self.k1, self.b)
        if self.rm3 is not None:
            opened.set_rm3(self.rm3.fb_terms, self.rm3.fb_docs, self.rm3.original_query_weight)
        return opened

    def rank(
        self, queries: Sequence[Query], inputs: Inputs, prepared: object, depth: int, split: str | None
    ) -> list[Ranking]:
        """Documents that Lucene finds, by score, then by id; equal scores are lowered by a millionth each."""
        searcher: Any = prepared
        threads = inputs.runtime.threads or os.cpu_count() or 1
        places = [str(place) for place in range(len(queries))]
        found = searcher.batch_search([query.text for query in queries], places, k=depth, threads=threads)
        return [self._ranking(found.get(place, [])) for place in places]

    def _ranking(self, hits: Sequence[Any]) -> Ranking:
        if not len(hits):
            return NOTHING
        scores = np.array([hit.score for hit in hits], dtype=np.float32)
        return Ranking([str(hit.docid) for hit in hits], scores, [self.source] * len(hits))

    def _build(self, inputs: Inputs, indexer: Any, folder: Path) -> None:
        say(f"lucene: indexing {inputs.collection.num_documents:,} documents")
        options = ["-index", str(folder), *(["-storeDocvectors"] if self.rm3 is not None else [])]
        index = indexer(args=options, threads=1)
        block: list[dict[str, str]] = []
        for document in inputs.collection.documents():
            if document.full_text.strip():
                block.append({"id": document.doc_id, "contents": document.full_text})
            if len(block) == DOCUMENTS_AT_ONCE:
                index.add_batch_dict(block)
                block = []
        index.add_batch_dict(block)
        index.close()
        if not any(folder.glob("segments_*")):
            raise DataError("Lucene wrote no index", where=folder, next_step="look at its messages above")


def pyserini() -> tuple[Any, Any]:
    """Pyserini's classes that index and search. Raises when the extra or a fitting Java is missing: see ``retkd doctor``."""
    try:
        version("pyserini")
    except ImportError as error:
        raise MissingExtraError("pyserini", "lucene", PURPOSE) from error
    require(PURPOSE)
    with _a_key_that_is_not_used():
        from pyserini.index.lucene import LuceneIndexer
        from pyserini.search.lucene import LuceneSearcher
    return LuceneIndexer, LuceneSearcher


@contextmanager
def _a_key_that_is_not_used() -> Iterator[None]:
    """Pyserini makes a client of a web service as it is imported, which wants a key; nothing here ever calls it."""
    name = "OPENAI_API_KEY"
    if name in os.environ:
        yield
        return
    os.environ[name] = "not used"
    try:
        yield
    finally:
        del os.environ[name]
