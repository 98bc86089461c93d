"""What can be evaluated: a dual encoder with its index, a candidates table as mined, or one as a teacher reranks it."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field

from retkd.parts import Candidates, Encoder, Index, Part, one_of, registry


class Dense(Part):
    """Encode the queries with ``model`` and search ``index``."""

    kind: Literal["dense"] = "dense"
    model: Encoder
    index: Index


class Mined(Part):
    """The miner's own ranking of a candidates table, such as BM25's."""

    kind: Literal["candidates"] = "candidates"
    candidates: Candidates


class Reranked(Part):
    """A candidates table sorted by one teacher's column; ties by the miner's rank, unscored documents last."""

    kind: Literal["rerank"] = "rerank"
    candidates: Candidates
    teacher: Annotated[str, Field(min_length=1)]


SYSTEMS = registry("systems", Dense, Mined, Reranked)
System: Any = one_of(SYSTEMS)

ORDER = ("bm25", "zero_shot", "control", "teacher", "student")


def in_order(names: Iterable[str]) -> list[str]:
    """Names of systems in the order that tables show: the controls, the teacher, the student, then others by name.

    >>> in_order(["student", "rrf", "bm25", "control"])
    ['bm25', 'control', 'student', 'rrf']
    """
    return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
