"""What every miner gives: a ranking per query."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from retkd.collections.base import Query
from retkd.parts import Part
from retkd.stage import Inputs


@dataclass(frozen=True)
class Ranking:
    """One query's candidates, best first: ids, float32 scores (descending), and the miner that brought each."""

    doc_ids: list[str]
    scores: np.ndarray
    sources: list[str]


class Miner(Part):
    """Proposes up to ``depth`` documents per query."""

    depth: int = Field(default=100, ge=1)

    def prepare(self, inputs: Inputs) -> object:
        """What this miner builds once (an index, an encoder); handed to every call of :meth:`mine`."""
        raise NotImplementedError

    def mine(self, queries: Sequence[Query], inputs: Inputs, prepared: object) -> list[Ranking]:
        """A ranking per query, in the order of ``queries``. A query that matches nothing gets an empty one."""
        raise NotImplementedError
