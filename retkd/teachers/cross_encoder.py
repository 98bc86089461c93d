"""A Hugging Face cross-encoder as teacher: raw logits, batches by tokens, each pair once."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from retkd.parts import CrossEncoder as CrossEncoderField
from retkd.stage import Inputs
from retkd.teachers.base import Judgement, Rows, Teacher, pair_texts
from retkd.teachers.stored import Stored, pair_lengths, pairs_of


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
        settings: dict[str, object] = {
            "kind": self.kind,
            "max_length": self.max_length,
            "query_max_length": self.query_max_length,
            "precision": self.precision,
        }
        return Stored(name, splits, inputs, work, texts, model.digest, settings, self.pairs_per_shard).judge(
            lambda positions: pair_lengths(scorer, texts, positions),
            lambda positions: scorer.score_with_cuts(pairs_of(texts, positions), inputs.runtime.tokens_per_batch),
            "logit",
        )
