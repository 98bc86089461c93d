"""Samplers: which of a query's possible negatives it gets."""

from hashlib import blake2b
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from retkd.parts import Part


class Sampler(Part):
    """Chooses among ``count`` candidates that stand in the miner's order, hardest first."""

    num_negatives: int = Field(ge=1)

    def sample(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Rising positions, at most ``num_negatives`` of ``range(count)``."""
        raise NotImplementedError


class TopK(Sampler):
    """The hardest ones, after ``skip``."""

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


class Mixed(Sampler):
    """The ``num_top`` hardest, the rest uniformly from what is left."""

    kind: Literal["mixed"] = "mixed"
    num_top: int = Field(ge=1)

    @model_validator(mode="after")
    def _fits(self) -> "Mixed":
        if self.num_top > self.num_negatives:
            raise ValueError(f"num_top {self.num_top} is more than num_negatives {self.num_negatives}")
        return self

    def sample(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """The first ``num_top`` positions and a uniform subset of the others."""
        top = np.arange(min(self.num_top, count))
        rest = generator.permutation(np.arange(len(top), count))[: self.num_negatives - len(top)]
        return np.sort(np.concatenate([top, rest]))


def generator_for(seed: int, query_id: str) -> np.random.Generator:
    """A generator of its own for each query: another query more or less changes nothing for this one."""
    return np.random.default_rng(int.from_bytes(blake2b(f"{seed}|{query_id}".encode(), digest_size=16).digest(), "big"))
