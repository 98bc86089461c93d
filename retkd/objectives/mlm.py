"""Masked words: the student stays a language model while it learns to rank."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.base import Objective, Training
from retkd.objectives.vectors import Sides

if TYPE_CHECKING:
    from retkd.training.words import MaskedWords


class MLM(Objective):
    """:func:`retkd.losses.words.word_nll` of masked words, in a second pass over the batch's texts (Devlin et al. 2019): the
    second of DistilBERT's losses (Sanh et al. 2019).

    Other words are masked in each step. A base checkpoint that has a head for words lends it, tied to the student's word
    embeddings; else the student gets a new one. Either is trained with the student and never becomes part of it.
    """

    BESIDE: ClassVar[Literal["teacher", "any"] | None] = "any"
    WHY_BESIDE: ClassVar[str] = "words of a text do not say what it is an answer to"
    REGULARISES: ClassVar[bool] = True

    kind: Literal["mlm"] = "mlm"
    sides: Sides = Field(default="both", description="whose words are masked; both: the mean over all of them")
    share: float = Field(default=0.15, gt=0.0, lt=1.0, description="of the tokens that are not special")

    @property
    def masks_words(self) -> bool:
        """Always."""
        return True

    def bind(self, training: Training) -> "MaskedWords":
        """The term with its head. Raises :class:`ModelError` where the student's tokeniser cannot mask."""
        from retkd.training.words import MaskedWords

        return MaskedWords(self, training)
