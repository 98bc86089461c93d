"""Text to the terms that BM25 counts."""

import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Literal

Analyzer = Literal["english", "code", "plain"]

LUCENE_STOPWORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "for",
        "if",
        "in",
        "into",
        "is",
        "it",
        "no",
        "not",
        "of",
        "on",
        "or",
        "such",
        "that",
        "the",
        "their",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "was",
        "will",
        "with",
    ]
)
WORD = re.compile(r"\w+")
CODE_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def analyzer(name: Analyzer) -> Callable[[str], list[str]]:
    """The function that turns a text into terms.

    ``plain``: lower-cased words. ``english``: also Lucene's 33 stop words out, Porter stems. ``code``: as english, after
    identifiers are split at underscores and capitals (``readLine``, ``read_line`` -> read, line).

    >>> analyzer("code")("def readLines(self): return read_line"), analyzer("english")("The lines")
    (['def', 'read', 'line', 'self', 'return', 'read', 'line'], ['line'])
    """
    if name == "plain":
        return lambda text: WORD.findall(text.lower())
    if name == "english":
        return lambda text: _stemmed(WORD.findall(text.lower()))
    return lambda text: _stemmed(word.lower() for word in CODE_WORD.findall(text))


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("porter")


def _stemmed(words: Iterable[str]) -> list[str]:
    return list(_stemmer().stemWords([word for word in words if word not in LUCENE_STOPWORDS]))
