"""The negatives that a report shows to be judged: what their scores say before anybody reads them."""

from collections.abc import Mapping, Sequence
from typing import Any


def drawn(negatives: Sequence[Mapping[str, Any]]) -> str:
    """How many were drawn and how many of them a teacher puts above the positive; a count where both have scores alone.

    >>> drawn([{"scores": {}, "above": []}])
    '1 drawn at random; no teacher has scored these lists'
    >>> drawn([{"scores": {"ce": {"negative": 4.5, "positive": 3.0}}, "above": ["ce"]}])
    '1 drawn at random, 1 with a teacher that puts them above the positive'
    """
    told = f"{len(negatives)} drawn at random"
    pairs = [pair for of in negatives for pair in of["scores"].values()]
    if compared(negatives):
        return f"{told}, {sum(bool(of['above']) for of in negatives)} with a teacher that puts them above the positive"
    if any(value is not None for pair in pairs for value in pair.values()):
        return f"{told}; no teacher has scored one of them and its positive"
    return f"{told}; no teacher has scored these lists"


def compared(negatives: Sequence[Mapping[str, Any]]) -> bool:
    """Whether some teacher has scored some negative and its positive."""
    return any(None not in pair.values() for of in negatives for pair in of["scores"].values())
