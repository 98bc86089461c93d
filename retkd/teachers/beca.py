"""BECA as teacher: query and document encoded apart, a matcher over their tokens."""

from pathlib import Path
from typing import Literal

from retkd.parts import Beca as BecaField
from retkd.parts import Scale
from retkd.stage import Inputs
from retkd.teachers.base import Judgement, Rows, pair_texts
from retkd.teachers.stored import Stored, by_document, pairs_of
from retkd.teachers.taught import TaughtTeacher


class BecaTeacher(TaughtTeacher):
    """A model that `teach` trained with ``head: beca``. Each text is encoded once per shard."""

    kind: Literal["beca"] = "beca"
    model: BecaField

    @property
    def scales(self) -> tuple[Scale, ...]:
        """Its one logit."""
        return ("logit",)

    def judge(self, name: str, splits: list[Rows], inputs: Inputs, work: Path) -> Judgement:
        """Raw logits through the pair-score store."""
        from retkd.matchers.beca_scorer import BecaScorer
        from retkd.resources import device

        texts = pair_texts(splits, inputs)
        model = inputs.models[self.model]
        where = device(inputs.runtime.device, inputs.runtime.threads)
        scorer = BecaScorer.load(model.path, where, self.max_length, self.query_max_length, self.precision)
        address = self.address(model.digest)
        return Stored(name, splits, inputs, work, texts, address, self.pairs_per_shard).judge(
            lambda positions: by_document(scorer.counts, texts, positions),
            lambda positions: scorer.score_with_cuts(pairs_of(texts, positions), inputs.runtime.tokens_per_batch),
            "logit",
        )
