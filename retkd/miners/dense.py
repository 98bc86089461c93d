"""Nearest documents by an encoder's vectors: exact, block by block, or through a published index."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from retkd.collections.base import Query
from retkd.errors import DataError, ModelError
from retkd.miners.base import Miner, Ranking
from retkd.parts import Encoder as EncoderField
from retkd.parts import Index
from retkd.stage import Inputs, Searcher


class DenseMiner(Miner):
    """Inner-product search. Exact by default: the peak memory is one block of ``runtime.memory_mib`` and the top k.

    With ``index``, a stage of kind index that holds the same collection by the same encoder, that index is searched:
    any recipe under indexes/, with its speed and its recall.
    """

    kind: Literal["dense"] = "dense"
    model: EncoderField
    index: Index | None = Field(
        default=None, description="an index stage of the same encoder; default: exact, no index"
    )
    max_length: int | None = Field(default=None, ge=4, description="tokens; shorter than the model's own to save time")

    @model_validator(mode="after")
    def _one_length(self) -> "DenseMiner":
        if self.index is not None and self.max_length is not None:
            raise ValueError("`max_length` goes with exact search: the index holds documents of the model's own length")
        return self

    def prepare(self, inputs: Inputs) -> object:
        """(encoder, what searches)."""
        from retkd.encoders.encoder import Encoder
        from retkd.resources import device

        where = device(inputs.runtime.device, inputs.runtime.threads)
        encoder = Encoder.load(inputs.models[self.model].path, where, self.max_length)
        return encoder, self._opened(inputs) if self.index is not None else _Exact(encoder, self.model, inputs)

    def rank(
        self, queries: Sequence[Query], inputs: Inputs, prepared: object, depth: int, split: str | None
    ) -> list[Ranking]:
        """The ``depth`` nearest documents of each query; equal scores in the collection's order."""
        ready: Any = prepared
        encoder, searcher = ready
        encoded = encoder.encode([query.text for query in queries], "query", inputs.runtime.tokens_per_batch)
        scores, doc_ids = searcher.search(encoded, depth)
        return [
            Ranking(found, row[: len(found)], [self.source] * len(found))
            for row, found in zip(scores, doc_ids, strict=True)
        ]

    def _opened(self, inputs: Inputs) -> Searcher:
        assert self.index is not None
        assert inputs.open_index is not None, "the stage says how an index is opened"
        folder = inputs.artifacts[self.index]
        searcher = inputs.open_index(folder)
        if searcher.told["model_digest"] != inputs.models[self.model].digest:
            raise ModelError(
                "the index holds vectors of another encoder",
                where=f"miner dense, index {self.index}",
                seen=f"{searcher.told['model_digest'][:12]}, and {self.model} is {inputs.models[self.model].digest[:12]}",
                consequence="queries and documents would lie in different spaces",
                next_step=f"name the model of the stage {self.index} here, or index with {self.model}",
            )
        _require_same_documents(searcher, self.index, inputs)
        return searcher


class _Exact:
    """Exact search over the collection's vectors in the store, which are encoded if they are not there."""

    def __init__(self, encoder: Any, model: str, inputs: Inputs) -> None:
        from retkd.encoders.vectors import corpus_vectors

        self.corpus = corpus_vectors(encoder, inputs.models[model], inputs.collection, inputs.store, inputs.runtime)
        self.vectors, self.doc_ids = self.corpus.vectors, self.corpus.doc_ids
        self.memory_mib, self.device = inputs.runtime.memory_mib, str(encoder.model.device)

    def search(self, queries: Any, k: int) -> tuple[Any, list[list[str]]]:
        """As :meth:`Searcher.search`."""
        from retkd.topk import exact_topk

        scores, rows = exact_topk(queries, self.vectors, k, memory_mib=self.memory_mib, device=self.device)
        return scores, [[self.doc_ids[row] for row in found] for found in rows.tolist()]


def _require_same_documents(searcher: Searcher, index: str, inputs: Inputs) -> None:
    first = next(iter(inputs.collection.documents(0, 1))).doc_id
    if len(searcher.doc_ids) != inputs.collection.num_documents or searcher.doc_ids[0] != first:
        raise DataError(
            "the index holds other documents than the collection",
            where=f"miner dense, index {index}",
            seen=f"{len(searcher.doc_ids):,} documents from {searcher.doc_ids[0]!r} on",
            allowed=f"the collection's {inputs.collection.num_documents:,} documents from {first!r} on",
            next_step="mine on the collection that the index was made from",
        )
