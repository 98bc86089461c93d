"""Nearest documents by an encoder's vectors, exact, block by block."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from retkd.collections.base import Query
from retkd.miners.base import Miner, Ranking
from retkd.parts import Encoder as EncoderField
from retkd.stage import Inputs


class DenseMiner(Miner):
    """Exact inner-product search; the peak memory is one block of ``runtime.memory_mib`` and the top k."""

    kind: Literal["dense"] = "dense"
    model: EncoderField
    max_length: int | None = Field(default=None, ge=4, description="tokens; shorter than the model's own to save time")

    def prepare(self, inputs: Inputs) -> object:
        """(encoder, memory-mapped corpus vectors, document ids)."""
        from retkd.encoder import Encoder
        from retkd.resources import device
        from retkd.vectors import corpus_vectors

        model = inputs.models[self.model]
        where = device(inputs.runtime.device, inputs.runtime.threads)
        encoder = Encoder.load(model.path, where, self.max_length)
        corpus = corpus_vectors(encoder, model, inputs.collection, inputs.store, inputs.runtime)
        return encoder, corpus.vectors, corpus.doc_ids

    def mine(self, queries: Sequence[Query], inputs: Inputs, prepared: object) -> list[Ranking]:
        """The ``depth`` nearest documents of each query."""
        from retkd.topk import exact_topk

        ready: Any = prepared
        encoder, vectors, doc_ids = ready
        encoded = encoder.encode([q.text for q in queries], "query", inputs.runtime.tokens_per_batch)
        where = str(encoder.model.device)
        scores, rows = exact_topk(encoded, vectors, self.depth, memory_mib=inputs.runtime.memory_mib, device=where)
        return [
            Ranking([doc_ids[row] for row in query_rows], query_scores, ["dense"] * len(query_rows))
            for query_scores, query_rows in zip(scores, rows, strict=True)
        ]
