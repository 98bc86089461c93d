"""What a language model is asked: a template in a file, filled in with a query and documents.

A template is plain text with fields such as ``{query}``. Where a line holds ``---`` alone, what is above it is the system
message. Its content, not its name, enters the key of a stage.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from retkd.errors import RecipeError
from retkd.shipped import PACKAGE

FIELD = re.compile(r"\{(\w+)\}")


def shipped_prompt(name: str) -> str:
    """The path of the template ``NAME.txt`` that comes with retkd."""
    return str(PACKAGE / "prompts" / f"{name}.txt")


@dataclass(frozen=True)
class Prompt:
    """One question. ``head`` is what prompts of one query have in common, so that a model may read it once."""

    head: str
    tail: str = ""
    system: str = ""

    @property
    def user(self) -> str:
        """The user message."""
        return self.head + self.tail

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation: the system message, if there is one, and the user's."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": self.user}]


@dataclass(frozen=True)
class Template:
    """A template that has been read; ``varies`` is the field at which the common head of its prompts ends."""

    system: str
    head: str
    tail: str

    @classmethod
    def read(cls, path: Path, fields: Collection[str], varies: str) -> "Template":
        """The template in a file. Raises :class:`RecipeError` when a field is missing, unknown, or in the system message."""
        text = _text(path)
        above, line, below = text.partition("\n---\n")
        system, user = (above, below) if line else ("", text)
        system, user = system.strip(), user.strip()
        seen = FIELD.findall(user)
        if set(seen) != set(fields) or FIELD.search(system):
            raise RecipeError(
                "the prompt does not have the fields that its reader fills in",
                where=path,
                seen=", ".join(f"{{{name}}}" for name in dict.fromkeys([*FIELD.findall(system), *seen])) or "no field",
                allowed=", ".join(f"{{{name}}}" for name in fields) + ", each at least once, below a line of ---",
                next_step=f"begin with a copy of a prompt in {PACKAGE / 'prompts'}",
            )
        start = user.index(f"{{{varies}}}")
        return cls(system, user[:start], user[start:])

    def filled(self, values: Mapping[str, str]) -> Prompt:
        """The prompt with these values; braces inside a value stay as they are."""

        def fill(text: str) -> str:
            return FIELD.sub(lambda match: values[match[1]], text)

        return Prompt(fill(self.head), fill(self.tail), self.system)


def shortened(text: str, max_characters: int) -> str:
    """The text on one line, cut at the last blank before ``max_characters``, or there when no blank is near.

    >>> shortened("one two  three", 9), shortened("abcdefghij", 4)
    ('one two', 'abcd')
    """
    line = " ".join(text.split())
    if len(line) <= max_characters:
        return line
    blank = line.rfind(" ", max_characters // 2, max_characters + 1)
    return line[: blank if blank > 0 else max_characters]


def is_cut(text: str, max_characters: int) -> bool:
    """Whether :func:`shortened` leaves something out."""
    return len(" ".join(text.split())) > max_characters


def _text(path: Path) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            "the prompt cannot be read",
            where=path,
            seen=f"{type(error).__name__}: {error}",
            allowed="a text file in UTF-8",
            next_step=f"name a file that exists, or leave the key out for the one in {PACKAGE / 'prompts'}",
        ) from error
