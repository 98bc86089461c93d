"""A term around other terms: they are learned on the student's vectors as it changes them."""

from typing import TYPE_CHECKING, Any

from pydantic import Field

from retkd.objectives.base import Objective, leaves

if TYPE_CHECKING:
    AnyObjective = Any


class Wrapper(Objective):
    """Weighted terms that see other vectors than the student's own."""

    terms: list["AnyObjective"] = Field(min_length=1)

    @property
    def leaves(self) -> tuple[Objective, ...]:
        """Those that it wraps."""
        return tuple(leaves(self.terms))

    @property
    def needs_vectors(self) -> bool:
        """It changes them."""
        return True
