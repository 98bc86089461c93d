"""What is written around a query and a document before a judge reads them."""

from pathlib import Path

from pydantic import model_validator

from retkd.encoders import told_of
from retkd.parts import Part

Affixes = tuple[str, str]
"""The text before and the text after."""


class PairTemplate(Part):
    """Two texts with a gap in each, and an instruction that both may name. Braces in a query or document mean nothing."""

    query: str = "{query}"
    document: str = "{document}"
    instruction: str = ""

    @model_validator(mode="after")
    def _has_its_gaps(self) -> "PairTemplate":
        for side in ("query", "document"):
            if getattr(self, side).count(f"{{{side}}}") != 1:
                raise ValueError(f"template.{side} must hold {{{side}}} once, such as '{side.title()}: {{{side}}}'")
        named = "{instruction}" in self.query + self.document
        if named != bool(self.instruction):
            raise ValueError("template.instruction is given exactly where {instruction} stands in query or document")
        return self

    def around_query(self) -> Affixes:
        """What stands before and after a query."""
        return self._around(self.query, "{query}")

    def around_document(self) -> Affixes:
        """What stands before and after a document."""
        return self._around(self.document, "{document}")

    def _around(self, template: str, gap: str) -> Affixes:
        before, _, after = template.partition(gap)
        return before.replace("{instruction}", self.instruction), after.replace("{instruction}", self.instruction)


NOTHING_AROUND = PairTemplate()


def own_template(folder: Path) -> PairTemplate:
    """The default prompt that sentence-transformers saved with a cross-encoder, which it puts before the query."""
    told = told_of(folder)
    prompt = (told.get("prompts") or {}).get(told.get("default_prompt_name"))
    return PairTemplate(query="{instruction}{query}", instruction=prompt) if prompt else NOTHING_AROUND
