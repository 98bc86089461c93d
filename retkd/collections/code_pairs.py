"""Pairs of a sentence and the function that it describes, out of Python files, with a count of what was left out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha1
from pathlib import Path

from retkd.collections.first_sentence import first_sentence, num_plain_words, repeats_name, words
from retkd.collections.near_duplicates import kept_first
from retkd.collections.python_functions import Function, functions
from retkd.collections.standard_library import module_name

SPLITS = ("train", "dev", "test")
MIN_WORDS = 3
NEAR = Fraction(7, 10)
"""Jaccard similarity of five-token shingles from which two functions count as the same."""


@dataclass(frozen=True, slots=True)
class CodePair:
    """``query`` is the first sentence of the docstring, ``source`` the function without the docstring."""

    doc_id: str
    query: str
    source: str
    split: str


def code_pairs(root: Path, files: list[str]) -> tuple[list[CodePair], dict[str, int]]:
    """The pairs in the order of files and functions, and how many functions were left out for each reason.

    Repeated queries and near-duplicate functions are left out over all splits: of two, the one in test stays before the
    one in dev, that before the one in train, and within a split the earlier one.
    """
    dropped: Counter[str] = Counter()
    pairs = [pair for path in files for pair in _pairs_of_file(root, path, dropped)]
    order = {split: rank for rank, split in enumerate(reversed(SPLITS))}
    ranked = sorted(pairs, key=lambda pair: order[pair.split])
    ranked = _with_unlike_queries(ranked, dropped)
    ranked = _with_unlike_sources(ranked, dropped)
    kept = {pair.doc_id for pair in ranked}
    return [pair for pair in pairs if pair.doc_id in kept], dict(sorted(dropped.items()))


def split_of(module: str) -> str:
    """The split of a module: 72 % train, 10 % dev, 18 % test, by the SHA-1 of its dotted name."""
    bucket = int(sha1(module.encode()).hexdigest(), 16) % 100
    return "train" if bucket < 72 else "dev" if bucket < 82 else "test"


def _pairs_of_file(root: Path, path: str, dropped: Counter[str]) -> Iterator[CodePair]:
    module, seen = module_name(path), Counter[str]()
    try:
        documented = list(functions((root / path).read_bytes()))
    except SyntaxError:
        dropped["file that this Python cannot parse"] += 1
        return
    for function in documented:
        seen[function.qualname] += 1
        repeat = f"#{seen[function.qualname]}" if seen[function.qualname] > 1 else ""
        query = first_sentence(function.docstring, _name(function))
        reason = _reason(function, query)
        if reason:
            dropped[reason] += 1
        else:
            yield CodePair(f"{module}:{function.qualname}{repeat}", query, function.source, split_of(module))


def _reason(function: Function, query: str) -> str | None:
    """Why a function is left out, or ``None``."""
    if any("\ud800" <= character <= "\udfff" for character in query + function.source):
        return "text that is not UTF-8"
    if num_plain_words(query) < MIN_WORDS:
        return f"docstring of fewer than {MIN_WORDS} words"
    if repeats_name(query, _name(function)):
        return "docstring that repeats the name"
    if function.trivial:
        return "trivial body"
    if " ".join(words(query)) in " ".join(words(function.source)):
        return "docstring repeated in the body"
    return None


def _name(function: Function) -> str:
    return function.qualname.rpartition(".")[2]


def _with_unlike_queries(pairs: list[CodePair], dropped: Counter[str]) -> list[CodePair]:
    first: dict[str, CodePair] = {}
    for pair in pairs:
        first.setdefault(" ".join(words(pair.query)), pair)
    dropped["repeated query"] += len(pairs) - len(first)
    return list(first.values())


def _with_unlike_sources(pairs: list[CodePair], dropped: Counter[str]) -> list[CodePair]:
    keep = kept_first((pair.source for pair in pairs), NEAR)
    dropped["near-duplicate function"] += len(pairs) - sum(keep)
    return [pair for pair, is_kept in zip(pairs, keep, strict=True) if is_kept]
