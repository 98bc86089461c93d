"""Queries that a language model writes (GPL, Wang et al. 2022, with an instructed model in the place of a doc2query T5)."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from retkd.collections.base import Document
from retkd.errors import ModelError
from retkd.generators.base import Generated, Generator
from retkd.llms import AnyLLM
from retkd.parts import DataFile
from retkd.prompt import Prompt, Template, shipped_prompt, shortened
from retkd.stage import Inputs

MARK = re.compile(r"^\s*(?:[-*\u2022]+|\(?\d+[.):])\s*")
QUOTES = "\"'`\u201c\u201d*"


class LLMQueries(Generator):
    """All queries of a document from one greedy answer, one per line: distinct without drawing at random."""

    kind: Literal["llm"] = "llm"
    llm: AnyLLM
    prompt: DataFile = shipped_prompt("queries")
    document_max_characters: int = Field(default=2000, ge=16, description="a longer text is cut at a blank")
    query_max_characters: int = Field(default=200, ge=8, description="a longer line is no query and is left out")
    max_tokens: int = Field(default=128, ge=1, description="of one answer")
    max_unusable: float = Field(
        default=0.1, ge=0.0, le=1.0, description="share of documents for which no query is found in the answer"
    )

    def generate(self, documents: Sequence[Document], num_queries: int, inputs: Inputs) -> Generated:
        """Queries by the model. Raises :class:`ModelError` when too many answers hold none."""
        template = Template.read(Path(self.prompt), ("document", "num"), varies="document")
        prompts = [self._prompt(template, document, num_queries) for document in documents]
        with self.llm.opened(inputs) as session:
            answers = session.complete(prompts, self.max_tokens, f"generate: {len(prompts):,} documents")
            timings = {"new_answers": session.num_new, "tokens": session.tokens}
        queries = [queries_in(answer, num_queries, self.query_max_characters) for answer in answers]
        self._require_usable(queries, answers)
        return Generated(queries, timings=timings)

    def _prompt(self, template: Template, document: Document, num_queries: int) -> Prompt:
        text = shortened(document.full_text, self.document_max_characters)
        return template.filled({"document": text, "num": str(num_queries)})

    def _require_usable(self, queries: list[list[str]], answers: list[str]) -> None:
        empty = [answer for found, answer in zip(queries, answers, strict=True) if not found]
        if len(empty) > self.max_unusable * len(answers):
            raise ModelError(
                "the language model does not write queries as it is asked to",
                where=f"{len(empty):,} of {len(answers):,} answers hold no query",
                seen=repr(empty[0][:200]),
                allowed=f"a share of {self.max_unusable:g} (max_unusable)",
                next_step="change the prompt or take another model; raise max_tokens if answers are cut short",
            )


def queries_in(answer: str, num: int, max_characters: int = 200) -> list[str]:
    """The first ``num`` distinct lines of an answer that are queries, without numbers, bullets and quotes.

    A line that ends in a colon announces something, one that is too long or holds no letter or digit is no query.

    >>> queries_in('Here they are:\\n1. how to fly\\n2) "How to fly"\\n- kite', 3)
    ['how to fly', 'kite']
    """
    found: dict[str, str] = {}
    for line in answer.rpartition("</think>")[2].splitlines():
        query = " ".join(MARK.sub("", line).strip().strip(QUOTES).split())
        if query and not query.endswith(":") and len(query) <= max_characters and re.search(r"\w", query):
            found.setdefault(query.casefold(), query)
    return list(found.values())[:num]
