"""The first sentence of a docstring, which is what somebody would search for."""

import re

ABBREVIATIONS = ("e.g", "i.e", "etc", "vs", "cf", "resp", "approx", "incl", "fig")
END = re.compile(r"""(?<!\s)(?<![\s(]["'])[.!?](?=["')\]]*(\s|$))""")
"""A stop before a blank, which is not itself quoted as in ``"."``."""
FILLERS = frozenset(
    {"a", "an", "the", "this", "that", "these", "it", "its", "of", "to", "in", "on", "at", "by", "for", "from", "with"}
    | {"as", "and", "or", "is", "are", "be", "if", "given", "return"}
)
"""Words that add nothing to a function's name."""


def first_sentence(docstring: str, name: str) -> str:
    """The first sentence as one line, without a leading ``name(arguments) ->``; empty when there is no prose.

    A paragraph that is only a call signature is passed over; one that starts with a prompt (``>>>``) ends the search.
    """
    for paragraph in re.split(r"\n\s*\n", docstring.strip()):
        if paragraph.lstrip().startswith(">>>"):
            return ""
        prose = _without_call(paragraph, name)
        if prose:
            return prose[: _end(prose)]
    return ""


def words(text: str) -> list[str]:
    """Lower-case words, with names split at underscores and capitals.

    >>> words("Return the HTTPServer's base_url.")
    ['return', 'the', 'http', 'server', 's', 'base', 'url']
    """
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+", text)]


def num_plain_words(text: str) -> int:
    """Words of letters alone: what a sentence has and a formula has not.

    >>> num_plain_words("Don't read a line."), num_plain_words("FWS = 1*WSP"), num_plain_words("math.ceil(a)")
    (4, 1, 0)
    """
    return sum(
        re.fullmatch(r"[^\W\d_](?:[^\W\d_]|['-])*[.,:;!?]?", word.strip("\"'`()")) is not None for word in text.split()
    )


def repeats_name(sentence: str, name: str) -> bool:
    """Whether the sentence has no word beyond the function's name and words such as "the" or "return".

    >>> repeats_name("Return the file name.", "get_filename"), repeats_name("Returns a file name", "file_name")
    (False, True)
    """
    known = FILLERS | {_stem(word) for word in words(name)}
    return all(word in known or _stem(word) in known for word in words(sentence))


def _stem(word: str) -> str:
    return word[:-1] if word.endswith("s") and len(word) > 3 else word


def _without_call(paragraph: str, name: str) -> str:
    """The paragraph as one line, without the call signature that its first line starts with.

    >>> _without_call("openpty() -> (master_fd, slave_fd)\\nOpen a pty pair.", "openpty")
    'Open a pty pair.'
    >>> _without_call("S.clear() -> None -- remove all items", "clear"), _without_call("f(x): Do it.", "f")
    ('remove all items', 'Do it.')
    """
    line, _, below = paragraph.partition("\n")
    call = re.match(rf"\s*(?:\w+\.)*{re.escape(name)}\s*\(", line)
    if call:
        line = _after_signature(line[_closing(line, call.end()) :].strip())
    return " ".join(f"{line} {below}".split())


def _after_signature(rest: str) -> str:
    arrow = re.match(r"[-=]{1,2}>\s*", rest)
    if arrow is None:
        return re.sub(r"^[-:=.\s]+", "", rest)
    result = rest[arrow.end() :]
    prose = re.split(r"\s--?\s+|[.:]\s+(?=[A-Z])", result, maxsplit=1)
    if len(prose) == 2:
        return prose[1]
    return result if len(result.split()) > 3 and result[0] not in "([{" else ""


def _closing(text: str, start: int) -> int:
    """The place after the bracket that closes the one before ``start``; the end of the text when none does."""
    depth = 1
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place + 1
    return len(text)


def _end(text: str) -> int:
    for match in END.finditer(text):
        before = text[: match.start()].split()[-1:] or [""]
        word = before[0].strip("([\"'").lower()
        if match[0] != "." or not (word in ABBREVIATIONS or re.fullmatch(r"[a-z]", word)):
            return match.end()
    return len(text)
