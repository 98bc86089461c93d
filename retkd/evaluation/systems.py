"""What can be evaluated: an encoder with its index, a candidates table as mined, or one as a teacher reranks it."""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from retkd.parts import (
    Candidates,
    Encoder,
    Index,
    LateInteractionIndex,
    Part,
    SparseIndex,
    TokenVectorEncoder,
    one_of,
    registry,
)
from retkd.parts import SparseEncoder as SparseEncoderField


class Retrieved(Part):
    """Encode the queries with ``model`` and search ``index``. ``READS`` is the kind of encoder, as its stage gives it."""

    READS: ClassVar[str]

    model: str
    index: str


class Dense(Retrieved):
    """One vector for a text, compared by inner product."""

    READS: ClassVar[str] = "encoder"

    kind: Literal["dense"] = "dense"
    model: Encoder
    index: Index


class Sparse(Retrieved):
    """Weights of terms, compared by inner product through an inverted index."""

    READS: ClassVar[str] = "sparse_encoder"

    kind: Literal["sparse"] = "sparse"
    model: SparseEncoderField
    index: SparseIndex


class LateInteraction(Retrieved):
    """One vector for a token, compared by MaxSim."""

    READS: ClassVar[str] = "late_interaction_encoder"

    kind: Literal["late_interaction"] = "late_interaction"
    model: TokenVectorEncoder
    index: LateInteractionIndex


class Mined(Part):
    """The miner's own ranking of a candidates table, such as BM25's."""

    kind: Literal["candidates"] = "candidates"
    candidates: Candidates


class Reranked(Part):
    """A candidates table sorted by one teacher's column; ties by the miner's rank, unscored documents last."""

    kind: Literal["rerank"] = "rerank"
    candidates: Candidates
    teacher: Annotated[str, Field(min_length=1)]


SYSTEMS = registry("systems", Dense, Sparse, LateInteraction, Mined, Reranked)
System: Any = one_of(SYSTEMS)

ORDER = ("bm25", "zero_shot", "control", "teacher", "student")


def in_order(names: Iterable[str]) -> list[str]:
    """Names of systems in the order that tables show: the controls, the teacher, the student, then others by name.

    >>> in_order(["student", "rrf", "bm25", "control"])
    ['bm25', 'control', 'student', 'rrf']
    """
    return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
