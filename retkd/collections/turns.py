"""Turns of conversations, and what of a conversation becomes the text of a query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from retkd.errors import DataError
from retkd.parts import Part


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance of a user. ``earlier`` is what was said before it, oldest first; an answer is None where it is not told.

    ``rewrites``: who or what rewrote the utterance so that it can be understood alone -> how.
    """

    query_id: str
    text: str
    earlier: tuple[tuple[str, str | None], ...] = ()
    rewrites: Mapping[str, str] = field(default_factory=dict)
    split: str | None = None


class QueryText(Part):
    """Which text a turn has: the conversation so far, a rewrite that stands alone, or the last utterance as it is."""

    query_text: Literal["history", "rewrite", "last"] = "history"
    rewrite: str | None = Field(
        default=None,
        description="whose rewrite, such as manual, automatic, resolved; default: the only one that a turn has",
    )
    separator: str = Field(default=" [SEP] ", description="between the parts of a history")
    order: Literal["newest_first", "oldest_first"] = Field(
        default="newest_first", description="of a history; an encoder that cuts a long text cuts its end"
    )
    responses: bool = Field(default=True, description="whether a history has the answers too")
    max_turns: NonNegativeInt | None = Field(default=None, description="earlier turns of a history, the newest ones")
    max_words: PositiveInt | None = Field(
        default=None, description="of a history: its oldest parts are left out whole, never the last utterance"
    )

    def text_of(self, turn: Turn) -> str:
        """The text. Raises :class:`DataError` where a turn has no such rewrite."""
        match self.query_text:
            case "last":
                return turn.text
            case "rewrite":
                return self._rewritten(turn)
        return self._history(turn)

    def _history(self, turn: Turn) -> str:
        first = 0 if self.max_turns is None else max(len(turn.earlier) - self.max_turns, 0)
        said = [
            part
            for query, answer in turn.earlier[first:]
            for part in (query, answer if self.responses else None)
            if part
        ]
        parts = [turn.text, *reversed(said)]
        if self.max_words is not None:
            parts = newest(parts, self.max_words)
        return self.separator.join(parts if self.order == "newest_first" else reversed(parts))

    def _rewritten(self, turn: Turn) -> str:
        known = turn.rewrites
        if self.rewrite is None and len(known) == 1:
            return next(iter(known.values()))
        if self.rewrite is None or self.rewrite not in known:
            raise DataError(
                "a turn has no rewrite" if not known else "it is not told which rewrite of a turn to read",
                where=f"query {turn.query_id!r}, key rewrite",
                seen=repr(self.rewrite),
                allowed=", ".join(known) or "none: the turn has no rewrite at all",
                next_step="name one of them in `rewrite`"
                if known
                else "name a file in `rewrites`, or read the history",
            )
        return known[self.rewrite]


def newest(parts: Sequence[str], max_words: int) -> list[str]:
    """The first parts that have ``max_words`` words together; the first one always.

    >>> newest(["and a cat", "a dog", "no"], 5), newest(["and a cat", "a dog"], 2)
    (['and a cat', 'a dog'], ['and a cat'])
    """
    kept, left = [parts[0]], max_words - len(parts[0].split())
    for part in parts[1:]:
        left -= len(part.split())
        if left < 0:
            break
        kept.append(part)
    return kept
