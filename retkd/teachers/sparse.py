"""A sparse encoder as teacher (DiSCo): it has read the corpus once, so every pair costs one inner product of term weights."""

from pathlib import Path
from typing import Literal

import numpy as np

from retkd.parts import Scale
from retkd.parts import SparseEncoder as SparseEncoderField
from retkd.stage import Inputs
from retkd.teachers.base import Judgement, Rows, Teacher, by_split, pair_texts

PAIRS = 4096
"""Scored at once."""


class SparseTeacher(Teacher):
    """Inner products of term weights (SPLADE): they grow with the query, 5 to 40 for a trained model."""

    kind: Literal["sparse"] = "sparse"
    model: SparseEncoderField

    @property
    def scales(self) -> tuple[Scale, ...]:
        """Inner products."""
        return ("unbounded",)

    def judge(self, name: str, splits: list[Rows], inputs: Inputs, work: Path) -> Judgement:
        """Scores from the term weights in the store; only queries are encoded here."""
        from retkd.encoders.sparse_encoder import SparseEncoder
        from retkd.encoders.sparse_vectors import sparse_vectors
        from retkd.resources import device

        model = inputs.models[self.model]
        encoder = SparseEncoder.load(model.path, device(inputs.runtime.device, inputs.runtime.threads))
        vectors = sparse_vectors(encoder, model, inputs.collection, inputs.store, inputs.runtime)
        texts = pair_texts(splits, inputs)
        documents, row_of = vectors.rows(doc_id for _, doc_id in texts.pairs)
        queries = encoder.represented(list(texts.queries.values()), "query", inputs.runtime.tokens_per_batch)
        place_of = {query_id: place for place, query_id in enumerate(texts.queries)}
        left = np.array([place_of[query_id] for query_id, _ in texts.pairs], dtype=np.int64)
        right = np.array([row_of[doc_id] for _, doc_id in texts.pairs], dtype=np.int64)
        scores = np.empty(len(texts.pairs), dtype=np.float32)
        for start in range(0, len(scores), PAIRS):
            chunk = slice(start, start + PAIRS)
            scores[chunk] = encoder.pair_scores(queries, documents, left[chunk], right[chunk])
        return Judgement(by_split(splits, scores), "unbounded", len(texts.queries), vectors.truncation_rate)
