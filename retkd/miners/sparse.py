"""Documents with the greatest inner product of term weights by a sparse encoder (SPLADE), exact."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from retkd.collections.base import Query
from retkd.miners.base import Miner, Ranking
from retkd.parts import SparseEncoder as SparseEncoderField
from retkd.stage import Inputs


class SparseMiner(Miner):
    """Formal et al. 2021 (arXiv 2107.05720): weights over the vocabulary, compared by inner product.

    The documents are encoded once into the store, in shards that survive a kill; a search holds one shard in memory.
    """

    kind: Literal["sparse"] = "sparse"
    model: SparseEncoderField
    max_length: int | None = Field(default=None, ge=4, description="tokens; shorter than the model's own to save time")

    def prepare(self, inputs: Inputs) -> object:
        """(encoder, the documents' term weights)."""
        from retkd.encoders.sparse_encoder import SparseEncoder
        from retkd.encoders.sparse_vectors import sparse_vectors
        from retkd.resources import device

        model = inputs.models[self.model]
        encoder = SparseEncoder.load(model.path, device(inputs.runtime.device, inputs.runtime.threads), self.max_length)
        return encoder, sparse_vectors(encoder, model, inputs.collection, inputs.store, inputs.runtime)

    def rank(
        self, queries: Sequence[Query], inputs: Inputs, prepared: object, depth: int, split: str | None
    ) -> list[Ranking]:
        """Documents that share a term with the query, by score, then in the collection's order."""
        from retkd.encoders.sparse_vectors import sparse_topk

        ready: Any = prepared
        encoder, vectors = ready
        texts = [query.text for query in queries]
        encoded, _ = encoder.encode_sparse(texts, "query", inputs.runtime.tokens_per_batch)
        doc_ids = vectors.doc_ids
        scores, rows = sparse_topk(encoded, vectors.postings(), len(doc_ids), depth, inputs.runtime.memory_mib)
        return [self.found(doc_ids, *best, best[0] > 0) for best in zip(scores, rows, strict=True)]
