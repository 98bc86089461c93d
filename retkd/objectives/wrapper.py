"""A term around other terms: they are learned on the student's vectors as it changes them."""

from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from retkd.objectives.base import Objective, in_company, leaves

if TYPE_CHECKING:
    AnyObjective = Any


class Wrapper(Objective):
    """Weighted terms that see other vectors than the student's own."""

    terms: list["AnyObjective"] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_inside(self) -> "Wrapper":
        unfit = [term.kind for term in self.terms if term.reads_inside]
        if unfit:
            raise ValueError(
                f"{unfit[0]} reads layers, exits or words, which have no other vectors: put it beside this term"
            )
        if any(term.needs_heads for term in self.terms):
            raise ValueError("head stands outside: put this term inside it")
        in_company(self.terms)
        return self

    @property
    def leaves(self) -> tuple[Objective, ...]:
        """Those that it wraps."""
        return tuple(leaves(self.terms))

    @property
    def needs_vectors(self) -> bool:
        """It changes them."""
        return True
