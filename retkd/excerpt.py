"""The beginning of a text, as reports show it."""

EXCERPT_LENGTH = 400
"""Characters of a text that are kept."""


def excerpt(text: str, length: int = EXCERPT_LENGTH) -> str:
    """The text without surrounding blanks, cut at ``length`` characters with an ellipsis.

    >>> excerpt("a long sentence", 6)
    'a long…'
    """
    text = text.strip()
    return text if len(text) <= length else text[:length].rstrip() + "…"
