"""What students of two towers share: one for queries, which is trained, and one for documents, which may be frozen."""

from typing import Any, Literal

from pydantic import Field, model_validator

from retkd.parts import Part
from retkd.students.base import Student


class Tower(Part):
    """The documents' tower: a model as it is. Frozen, it reads no document in training and its index stays right."""

    base: str
    frozen: bool = True


class TwoTowers(Student):
    """A student that encodes queries and documents apart, into vectors that are compared."""

    document: Tower
    prompts: dict[Literal["query", "document"], str] | None = Field(
        default=None,
        description="of queries; a frozen document tower keeps its own. Default: those of the document tower",
    )

    @model_validator(mode="after")
    def _prompts_stand_above(self) -> "TwoTowers":
        if getattr(getattr(self, "query", None), "prompts", None) is not None:
            raise ValueError("`prompts` are those of the student: write them beside `query`, not into it")
        return self

    @property
    def stored_documents(self) -> str | None:
        """The document tower's base, where it is frozen."""
        return self.document.base if self.document.frozen else None

    @property
    def needs_whole_passes(self) -> str | None:
        """Always: the sides' passes differ."""
        return "an asymmetric student"

    def prompts_over(self, document: Any) -> dict[Any, Any]:
        """Those of the student; ``document`` is the loaded base of its document tower."""
        theirs = dict(document.prompts or {})
        if self.prompts is None:
            return theirs
        kept = {"document": theirs["document"]} if self.document.frozen and "document" in theirs else {}
        return {**self.prompts, **kept}
