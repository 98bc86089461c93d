"""Texts that say nearly the same, found exactly: Jaccard similarity of token shingles, no approximation.

Two sets with similarity of at least t share one of the rarest |A| - ceil(t |A|) + 1 elements of either (prefix filter:
Chaudhuri et al. 2006; Bayardo et al. 2007). So an inverted index over these alone finds every pair.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from hashlib import blake2b
from math import ceil

WIDTH = 5


def shingles(text: str) -> frozenset[int]:
    """64-bit hashes of each run of five tokens (words and marks, lower case); of the whole text when it has fewer."""
    tokens = re.findall(r"\w+|[^\w\s]", text.lower())
    runs = range(max(1, len(tokens) - WIDTH + 1))
    return frozenset(_hash("\0".join(tokens[start : start + WIDTH])) for start in runs)


def jaccard(one: frozenset[int], other: frozenset[int]) -> Fraction:
    """Size of the intersection over the size of the union, 0 to 1."""
    shared = len(one & other)
    return Fraction(shared, len(one) + len(other) - shared)


def kept_first(texts: Iterable[str], threshold: Fraction) -> list[bool]:
    """For each text, whether it is kept: no text kept before it has a similarity of ``threshold`` (above 0) or more."""
    sets = [shingles(text) for text in texts]
    seen_in = Counter(shingle for each in sets for shingle in each)
    index: dict[int, list[int]] = defaultdict(list)
    keep = []
    for number, each in enumerate(sets):
        prefix = sorted(each, key=lambda shingle: (seen_in[shingle], shingle))[: _prefix(len(each), threshold)]
        keep.append(not _has_similar(each, prefix, sets, index, threshold))
        if keep[-1]:
            for shingle in prefix:
                index[shingle].append(number)
    return keep


def _has_similar(
    each: frozenset[int],
    prefix: Sequence[int],
    sets: Sequence[frozenset[int]],
    index: dict[int, list[int]],
    threshold: Fraction,
) -> bool:
    near = {number for shingle in prefix for number in index.get(shingle, ())}
    return any(jaccard(each, sets[number]) >= threshold for number in near)


def _prefix(size: int, threshold: Fraction) -> int:
    return size - ceil(threshold * size) + 1


def _hash(run: str) -> int:
    return int.from_bytes(blake2b(run.encode(), digest_size=8).digest(), "big")
