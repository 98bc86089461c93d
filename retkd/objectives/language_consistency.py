"""Language consistency: a query's candidates shall be ranked alike whatever language they are in."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.objectives.base import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class LanguageConsistency(Objective):
    """:func:`retkd.losses.languages.language_consistency`. It has no teacher; both sides of each pair get a gradient.

    Needs `document_languages: {mix: all}` in the train stage, so that a list is there in every language.
    """

    kind: Literal["language_consistency"] = "language_consistency"
    student_temperature: float = Field(default=0.05, gt=0.0)

    @property
    def needs_variants(self) -> bool:
        """Always."""
        return True

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """Mean over queries and pairs of languages, in nats."""
        from retkd.losses.languages import language_consistency

        variants, mask = scored.batch.variants, scored.batch.variant_mask
        assert variants is not None
        assert mask is not None
        scores = scored.own.gather(1, variants.flatten(1)).view(variants.shape)
        return language_consistency(scores, mask, temperature=self.student_temperature)
