"""Merges of a byte-level BPE tokeniser: what a token is built from, and which of them a smaller vocabulary still has."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

Pair = tuple[str, str]


def pairs(model: Mapping[str, Any]) -> list[Pair]:
    """The merges of a ``tokenizer.json``'s model, first the one that goes first. Older files write a pair as one string.

    >>> pairs({"merges": ["a b", ["ab", "c"]]})
    [('a', 'b'), ('ab', 'c')]
    """
    told = (each.split(" ") if isinstance(each, str) else each for each in model["merges"])
    return [(left, right) for left, right in told]


def steps(token: str, ranks: Mapping[Pair, int]) -> set[str]:
    """What is made on the way from the letters of ``token`` to it, itself included; nothing where no way leads to it.

    A merge never crosses the border of a token that a text is left with: within a longer word it is built as it is alone.

    >>> sorted(steps("abc", {("b", "c"): 0, ("a", "b"): 1, ("a", "bc"): 2})), steps("abc", {("b", "c"): 0})
    (['abc', 'bc'], set())
    """
    parts, made = list(token), set()
    while found := [(ranks[pair], place) for place, pair in enumerate(pairwise(parts)) if pair in ranks]:
        _, place = min(found)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
        made.add(parts[place])
    return made if parts == [token] else set()


def with_parts(kept: set[int], vocabulary: Mapping[str, int], merges: list[Pair]) -> set[int]:
    """``kept``, what its tokens are built from, and the letters of all 256 bytes: so no text is without tokens."""
    from tokenizers.pre_tokenizers import ByteLevel

    ranks = {pair: rank for rank, pair in reversed(list(enumerate(merges)))}
    built = {part for token, number in vocabulary.items() if number in kept for part in steps(token, ranks)}
    return kept | {vocabulary[part] for part in built.union(ByteLevel.alphabet()) if part in vocabulary}


def without_lost(model: Mapping[str, Any], vocabulary: Mapping[str, int]) -> list[Any]:
    """The merges, as the model writes them, whose two parts and result are all in ``vocabulary``."""
    both = zip(model["merges"], pairs(model), strict=True)
    return [told for told, (left, right) in both if {left, right, left + right} <= vocabulary.keys()]
