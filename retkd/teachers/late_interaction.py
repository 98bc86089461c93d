"""A late-interaction model as teacher: one vector per token, MaxSim."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from retkd.pair_scores import teacher_address
from retkd.parts import LateInteractionEncoder as EncoderField
from retkd.parts import Scale
from retkd.stage import Inputs
from retkd.teachers.base import Judgement, Rows, Teacher, pair_texts
from retkd.teachers.stored import Stored, by_document, pairs_of


class LateInteraction(Teacher):
    """A multi-vector model of sentence-transformers (ColBERT, PyLate), or the token states of a dense encoder.

    Each text is encoded once per shard. Scores are sums over the query's tokens: they grow with the query.
    """

    kind: Literal["late_interaction"] = "late_interaction"
    model: EncoderField
    pairs_per_shard: int = Field(default=2048, ge=1)

    @property
    def scales(self) -> tuple[Scale, ...]:
        """Sums of the greatest inner products."""
        return ("unbounded",)

    def judge(self, name: str, splits: list[Rows], inputs: Inputs, work: Path) -> Judgement:
        """Sums of MaxSim through the pair-score store."""
        from retkd.encoders.token_encoder import TokenEncoder
        from retkd.resources import device

        texts = pair_texts(splits, inputs)
        model = inputs.models[self.model]
        encoder = TokenEncoder.load(model.path, device(inputs.runtime.device, inputs.runtime.threads))
        address = teacher_address(model.digest, {"kind": self.kind})
        return Stored(name, splits, inputs, work, texts, address, self.pairs_per_shard).judge(
            lambda positions: by_document(lambda found: encoder.counts(found, "document"), texts, positions),
            lambda positions: encoder.score_with_cuts(pairs_of(texts, positions), inputs.runtime.tokens_per_batch),
            "unbounded",
        )
