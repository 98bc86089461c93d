"""What may stand where a value does not fit, in plain words: out of pydantic's error and the bounds of the field."""

import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

WORDS = {
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    "finite_number": "a finite number",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("list_type", "tuple_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a mapping of keys to values"),
    "string_type": "text",
    "path_type": "a path",
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_too_short": "text of {min_length} characters or more",
    "too_short": "{min_length} or more entries",
    "too_long": "{max_length} entries at most",
}
"""What an error of this type says is allowed; in braces what it brings along."""
LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def allowed(error: Any, field: Any = None) -> str | None:
    """What fits where ``error`` says that a value does not, of the type and the bounds of ``field``; None where only the
    error's own message tells.

    >>> allowed({"type": "greater_than_equal", "ctx": {"ge": 1}}), allowed({"type": "bool_parsing"})
    ('a whole number, at least 1', 'true or false')
    """
    told = error.get("ctx", {})
    if error["type"] == "literal_error":
        return ", ".join(choices(error))
    limits = [*_limits(told)]
    if limits:
        kinds = ["a number" if isinstance(told[name], float) else "a whole number" for name in LIMITS if name in told]
    elif error["type"] in WORDS:
        kinds = [WORDS[error["type"]].format(**told)]
    else:
        return None
    of_field = [limit for each in getattr(field, "metadata", ()) for limit in _limits(_told(each))]
    return ", ".join(dict.fromkeys([*kinds, *(of_field if "number" in kinds[0] else ()), *limits]))


def _limits(told: dict[str, Any]) -> Iterator[str]:
    return (f"{words} {_plain(told[name])}" for name, words in LIMITS.items() if told.get(name) is not None)


def _told(bound: object) -> dict[str, Any]:
    return {name: getattr(bound, name, None) for name in LIMITS}


def _plain(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)


def choices(error: Any) -> list[str]:
    """The values that an unknown one was not among."""
    return [value.strip("'") for value in re.split(r", | or ", error["ctx"]["expected"])]


def literals(annotation: Any) -> list[str]:
    """The few values that a field takes; none where it takes any of its type.

    >>> literals(Literal["last", "best"] | None)
    ['last', 'best']
    """
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    return [value for each in get_args(annotation) for value in literals(each)]
