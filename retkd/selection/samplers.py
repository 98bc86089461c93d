"""Samplers: which of a query's possible negatives it gets."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from retkd.parts import Part, Scale
from retkd.selection.filters import NOT_RANK

if TYPE_CHECKING:
    import pyarrow as pa


class Sampler(Part):
    """Chooses among a query's possible negatives, which stand hardest first."""

    NEEDS_DISTANCES: ClassVar[bool] = False
    """Whether it reads how far a negative's score is from the positive's, and not the order alone."""
    SCALES: ClassVar[tuple[Scale, ...]] = NOT_RANK

    num_negatives: int = Field(ge=1)
    by: str | None = Field(default=None, description="the teacher whose scores say what is hard; default: the miner's")

    def sample(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Rising positions, at most ``num_negatives`` of ``range(count)``."""
        raise NotImplementedError

    def choose(self, scores: np.ndarray, positive: float, generator: np.random.Generator) -> np.ndarray:
        """Rising positions in ``scores``, which fall; ``positive`` is the score of the query's best positive."""
        return self.sample(len(scores), generator)

    def check(self, rows: "pa.Table") -> None:
        """Raise a :class:`RetkdError` when the teacher ``by`` is not there, or its scale has no distances to read."""
        from retkd.candidates import require_scale, scale_of

        if self.by is not None and self.NEEDS_DISTANCES:
            reader = f"the sampler {self.kind!r}"  # type: ignore[attr-defined]
            rule = "take a teacher that gives scores; a rank has no magnitude"
            require_scale(rows, self.by, self.SCALES, reader, rule)
        elif self.by is not None:
            scale_of(rows, self.by)


class TopK(Sampler):
    """The hardest ones, after ``skip``. With ``num_negatives: 99``, the deep lists of Rank-DistiLLM."""

    kind: Literal["top_k"] = "top_k"
    skip: int = Field(default=0, ge=0)

    def sample(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Positions skip, skip + 1, ..."""
        return np.arange(self.skip, min(self.skip + self.num_negatives, count))


class Random(Sampler):
    """Uniformly without replacement, among the ``pool`` hardest if it is given."""

    kind: Literal["random"] = "random"
    pool: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _fits(self) -> "Random":
        if self.pool is not None and self.pool < self.num_negatives:
            raise ValueError(f"pool {self.pool} is less than num_negatives {self.num_negatives}")
        return self

    def sample(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """A uniform subset."""
        return np.sort(generator.permutation(min(count, self.pool or count))[: self.num_negatives])


class LogRandom(Sampler):
    """Without replacement, the one at rank r in proportion to 1 / log(1 + r): hard ones often, easy ones sometimes.

    Rank-DistiLLM's ``log_random``; r counts the possible negatives from 1.
    """

    kind: Literal["log_random"] = "log_random"

    def sample(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """A subset drawn by these weights."""
        return weighted(-np.log(np.log(np.arange(count) + 2.0)), self.num_negatives, generator)


class Mixed(Sampler):
    """Shares of one list: ``num_top`` hardest, ``num_easy`` from its easier half, the rest from all that is left."""

    kind: Literal["mixed"] = "mixed"
    num_top: int = Field(ge=1)
    num_easy: int = Field(default=0, ge=0, description="drawn uniformly from the easier half of the list")

    @model_validator(mode="after")
    def _fits(self) -> "Mixed":
        if self.num_top > self.num_negatives:
            raise ValueError(f"num_top {self.num_top} is more than num_negatives {self.num_negatives}")
        if self.num_top + self.num_easy > self.num_negatives:
            raise ValueError(
                f"num_top {self.num_top} and num_easy {self.num_easy} are more than num_negatives {self.num_negatives}"
            )
        return self

    def sample(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """The first ``num_top`` positions and uniform subsets of the others."""
        top = np.arange(min(self.num_top, count))
        easy = generator.permutation(np.arange(max(len(top), count // 2), count))[: self.num_easy]
        others = np.setdiff1d(np.arange(len(top), count), easy)
        rest = generator.permutation(others)[: self.num_negatives - len(top) - len(easy)]
        return np.sort(np.concatenate([top, easy, rest]))


class TopAndRandom(Sampler):
    """Half of them the hardest, half uniformly from what is left. Rank-DistiLLM's ``top_and_random``."""

    kind: Literal["top_and_random"] = "top_and_random"

    def sample(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """As :class:`Mixed` with ``num_top`` half of ``num_negatives``, rounded up."""
        half = (self.num_negatives + 1) // 2
        return Mixed(num_negatives=self.num_negatives, num_top=half).sample(count, generator)


def weighted(log_weights: Sequence[float] | np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Rising positions of ``count`` draws without replacement, each in proportion to the weights that are left.

    The ``count`` largest of log weight + Gumbel noise, so no weight is too small to be ranked. Kool et al. 2019.
    """
    keys = np.asarray(log_weights) + generator.gumbel(size=len(log_weights))
    return np.sort(np.argsort(-keys, kind="stable")[:count])


def generator_for(seed: int, query_id: str) -> np.random.Generator:
    """A generator of its own for each query: another query more or less changes nothing for this one."""
    return np.random.default_rng(int.from_bytes(blake2b(f"{seed}|{query_id}".encode(), digest_size=16).digest(), "big"))
