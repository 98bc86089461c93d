"""Documents with the greatest sum of MaxSim by a model of token vectors (ColBERT), exact."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from retkd.collections.base import Query
from retkd.miners.base import Miner, Ranking
from retkd.parts import TokenVectorEncoder
from retkd.stage import Inputs


class LateInteractionMiner(Miner):
    """Khattab and Zaharia 2020 (arXiv 2004.12832), without a first stage: every document is scored, block by block.

    The documents' tokens are encoded once into the store, in shards that survive a kill. The time of a query grows with
    the collection: right up to some 100,000 passages.
    """

    kind: Literal["late_interaction"] = "late_interaction"
    model: TokenVectorEncoder
    max_length: int | None = Field(default=None, ge=4, description="tokens; shorter than the model's own to save time")

    def prepare(self, inputs: Inputs) -> object:
        """(encoder, the documents' token vectors, where it searches)."""
        from retkd.encoders.late_interaction_encoder import LateInteractionEncoder
        from retkd.encoders.token_vectors import token_vectors
        from retkd.resources import device

        model, where = inputs.models[self.model], device(inputs.runtime.device, inputs.runtime.threads)
        encoder = LateInteractionEncoder.load(model.path, where, self.max_length)
        return encoder, token_vectors(encoder, model, inputs.collection, inputs.store, inputs.runtime), where

    def rank(
        self, queries: Sequence[Query], inputs: Inputs, prepared: object, depth: int, split: str | None
    ) -> list[Ranking]:
        """The best documents of each query, equal scores in the collection's order; none without a token."""
        from retkd.encoders.token_vectors import maxsim_topk

        ready: Any = prepared
        encoder, corpus, where = ready
        texts = [query.text for query in queries]
        encoded, _ = encoder.encode_tokens(texts, "query", inputs.runtime.tokens_per_batch)
        memory_mib = inputs.runtime.memory_mib
        best = maxsim_topk(encoded, corpus.vectors, corpus.starts, depth, memory_mib=memory_mib, device=where)
        return [
            self.found(corpus.doc_ids, scores, rows, np.isfinite(scores)) for scores, rows in zip(*best, strict=True)
        ]
