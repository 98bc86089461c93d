"""BECA as teacher: query and document encoded apart, a matcher over their tokens."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from retkd.pair_scores import teacher_address
from retkd.parts import Beca as BecaField
from retkd.stage import Inputs
from retkd.teachers.base import Judgement, Rows, Teacher, pair_texts
from retkd.teachers.stored import Stored, by_document, pairs_of


class BecaTeacher(Teacher):
    """A model that `teach` trained with ``head: beca``. Each text is encoded once per shard."""

    kind: Literal["beca"] = "beca"
    model: BecaField
    max_length: int = Field(default=256, ge=8, description="tokens of a document, special tokens included")
    query_max_length: int = Field(default=64, ge=2, description="tokens of a query, special tokens included")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    pairs_per_shard: int = Field(default=2048, ge=1)

    def judge(self, name: str, splits: list[Rows], inputs: Inputs, work: Path) -> Judgement:
        """Raw logits through the pair-score store."""
        from retkd.beca_scorer import BecaScorer
        from retkd.resources import device

        texts = pair_texts(splits, inputs)
        model = inputs.models[self.model]
        where = device(inputs.runtime.device, inputs.runtime.threads)
        scorer = BecaScorer.load(model.path, where, self.max_length, self.query_max_length, self.precision)
        settings: dict[str, object] = {
            "kind": self.kind,
            "max_length": self.max_length,
            "query_max_length": self.query_max_length,
            "precision": self.precision,
        }
        address = teacher_address(model.digest, settings)
        return Stored(name, splits, inputs, work, texts, address, self.pairs_per_shard).judge(
            lambda positions: by_document(scorer.counts, texts, positions),
            lambda positions: scorer.score_with_cuts(pairs_of(texts, positions), inputs.runtime.tokens_per_batch),
            "logit",
        )
