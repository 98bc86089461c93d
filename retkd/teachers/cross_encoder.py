"""A Hugging Face cross-encoder as teacher: raw logits, batches by tokens, each pair once."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from retkd.pair_scores import PairScores, pair_key, teacher_address
from retkd.parts import CrossEncoder as CrossEncoderField
from retkd.stage import Inputs
from retkd.teachers.base import Judgement, PairTexts, Rows, Teacher, by_split, pair_texts


class CrossEncoderTeacher(Teacher):
    """A sequence-classification model with one label (its logit) or two (the difference of the logits)."""

    kind: Literal["cross_encoder"] = "cross_encoder"
    model: CrossEncoderField
    max_length: int = Field(default=256, ge=8, description="tokens of query, document and special tokens together")
    query_max_length: int = Field(default=64, ge=2, description="tokens of the query; a longer one is cut first")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    pairs_per_shard: int = Field(default=2048, ge=1)

    def judge(self, name: str, splits: list[Rows], inputs: Inputs, work: Path) -> Judgement:
        """Raw logits through the pair-score store."""
        from retkd.cross_encoder import PairScorer
        from retkd.resources import device

        texts = pair_texts(splits, inputs)
        model = inputs.models[self.model]
        where = device(inputs.runtime.device, inputs.runtime.threads)
        scorer = PairScorer.load(model.path, where, self.max_length, self.query_max_length, self.precision)
        found = self._store(model.digest, inputs).get(
            [pair_key(texts.queries[q], texts.documents[d]) for q, d in texts.pairs],
            lambda positions: _lengths(scorer, texts, positions),
            lambda positions: scorer.score_with_cuts(_pairs(texts, positions), inputs.runtime.tokens_per_batch),
            plan_file=work / f"{name}-plan.npz",
            pairs_per_shard=self.pairs_per_shard,
            label=f"score {name}: {len(texts.pairs):,} pairs (shards)",
        )
        rate = float(found.truncated.mean()) if len(found.truncated) else 0.0
        return Judgement(by_split(splits, found.values), "logit", found.num_new, rate)

    def _store(self, weights_digest: str, inputs: Inputs) -> PairScores:
        settings: dict[str, object] = {
            "kind": self.kind,
            "max_length": self.max_length,
            "query_max_length": self.query_max_length,
            "precision": self.precision,
        }
        return PairScores(inputs.store / "scores" / teacher_address(weights_digest, settings))


def _pairs(texts: PairTexts, positions: np.ndarray) -> list[tuple[str, str]]:
    chosen = (texts.pairs[position] for position in positions)
    return [(texts.queries[query_id], texts.documents[doc_id]) for query_id, doc_id in chosen]


def _lengths(scorer: Any, texts: PairTexts, positions: np.ndarray) -> np.ndarray:
    """Token counts of pairs, from one count per distinct text."""
    pairs = [texts.pairs[position] for position in positions]
    query_ids, doc_ids = list({q: None for q, _ in pairs}), list({d: None for _, d in pairs})
    queries = dict(zip(query_ids, scorer.counts([texts.queries[q] for q in query_ids]), strict=True))
    documents = dict(zip(doc_ids, scorer.counts([texts.documents[d] for d in doc_ids]), strict=True))
    return np.array([scorer.pair_length(queries[q], documents[d]) for q, d in pairs], dtype=np.int64)
