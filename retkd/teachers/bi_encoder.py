"""A dual encoder as teacher: it has read the corpus once, so every pair costs one inner product."""

from pathlib import Path
from typing import Literal

import numpy as np

from retkd.parts import Encoder as EncoderField
from retkd.parts import Scale
from retkd.stage import Inputs
from retkd.teachers.base import Judgement, Rows, Teacher, by_split, pair_texts


class BiEncoder(Teacher):
    """Inner products of an encoder's vectors: cosines where the model normalises them."""

    kind: Literal["bi_encoder"] = "bi_encoder"
    model: EncoderField

    @property
    def scales(self) -> tuple[Scale, ...]:
        """Which of them says its last module."""
        return ("cosine", "unbounded")

    def judge(self, name: str, splits: list[Rows], inputs: Inputs, work: Path) -> Judgement:
        """Scores from the corpus vectors in the store; only queries are encoded here."""
        from retkd.encoders.encoder import Encoder
        from retkd.encoders.vectors import corpus_vectors
        from retkd.resources import device

        model = inputs.models[self.model]
        encoder = Encoder.load(model.path, device(inputs.runtime.device, inputs.runtime.threads))
        corpus = corpus_vectors(encoder, model, inputs.collection, inputs.store, inputs.runtime)
        texts = pair_texts(splits, inputs)
        row_of = {doc_id: row for row, doc_id in enumerate(corpus.doc_ids)}
        query_ids = list(texts.queries)
        queries = encoder.encode([texts.queries[q] for q in query_ids], "query", inputs.runtime.tokens_per_batch)
        query_rows = {query_id: row for row, query_id in enumerate(query_ids)}
        vectors, scores = corpus.vectors, np.empty(len(texts.pairs), dtype=np.float32)
        for start in range(0, len(texts.pairs), 65_536):
            chunk = texts.pairs[start : start + 65_536]
            left = queries[[query_rows[q] for q, _ in chunk]]
            right = vectors[[row_of[d] for _, d in chunk]]
            scores[start : start + len(chunk)] = np.einsum("pd,pd->p", left, right)
        scale: Scale = "cosine" if _normalises(encoder) else "unbounded"
        return Judgement(by_split(splits, scores), scale, len(query_ids), corpus.truncation_rate)


def _normalises(encoder: object) -> bool:
    from sentence_transformers.base.modules import Normalize

    return any(isinstance(module, Normalize) for module in encoder.model)  # type: ignore[attr-defined]
