"""Several miners, one list: by reciprocal ranks, by weighted scores, or in turn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from retkd.collections.base import Collection, Query
from retkd.errors import did_you_mean
from retkd.miners.base import Miner, Ranking
from retkd.miners.fusion import Normalisation, interleaved, reciprocal_rank, weighted, with_quotas
from retkd.stage import Inputs

if TYPE_CHECKING:
    AnyMiner = Any

METHODS_OF = {"k": "rrf", "weights": "weighted", "normalisation": "weighted"}
"""Setting -> the one method that reads it."""


class Fused(Miner):
    """The union of what its miners found (see :mod:`retkd.miners.fusion`). The source names every miner that has the document;
    in an interleaved list, the one that brought it.
    """

    kind: Literal["fused"] = "fused"
    miners: list["AnyMiner"] = Field(min_length=2)
    method: Literal["rrf", "weighted", "interleaved"] = "rrf"
    k: float = Field(default=60.0, gt=0.0, description="of rrf")
    weights: dict[str, PositiveFloat] = Field(default={}, description="of weighted: miner -> weight; default: 1 each")
    normalisation: Normalisation = Field(default="min_max", description="of weighted: within each query's list")
    quotas: dict[str, PositiveInt] = Field(
        default={}, description="miner -> how many of the list's documents are its best ones at least"
    )

    @model_validator(mode="after")
    def _settings_fit(self) -> "Fused":
        for setting, method in METHODS_OF.items():
            if setting in self.model_fields_set and self.method != method:
                raise ValueError(f"`{setting}` is a setting of method {method}; this one has method {self.method}")
        self._require_names()
        if self.quotas and (self.skip or self.doc_id_pattern or self.language):
            raise ValueError(
                "`quotas` goes with neither `skip` nor `doc_id_pattern` nor `language`: put these on the miners inside"
            )
        if sum(self.quotas.values()) > self.depth:
            raise ValueError(f"the quotas add up to {sum(self.quotas.values())}, more than the depth of {self.depth}")
        return self

    def _require_names(self) -> None:
        names = [miner.source for miner in self.miners]
        for key in ("weights", "quotas"):
            asked = getattr(self, key)
            unknown = [name for name in asked if name not in names]
            if unknown:
                raise ValueError(
                    f"`{key}` names {unknown[0]!r}, which is no miner here: {did_you_mean(unknown[0], names)}"
                )
            twice = [name for name in asked if names.count(name) > 1]
            if twice:
                raise ValueError(f"`{key}` names {twice[0]!r}, and two miners are called so: give them a `name`")

    def require_documents(self, collection: Collection) -> None:
        """Those of each miner too."""
        super().require_documents(collection)
        for miner in self.miners:
            miner.require_documents(collection)

    def prepare(self, inputs: Inputs) -> object:
        """What each miner prepares."""
        return [miner.prepare(inputs) for miner in self.miners]

    def rank(
        self, queries: Sequence[Query], inputs: Inputs, prepared: object, depth: int, split: str | None
    ) -> list[Ranking]:
        """The ``depth`` best of the union."""
        ready: Any = prepared
        lists = [miner.mine(queries, inputs, ready[at], split) for at, miner in enumerate(self.miners)]
        return [self._one(rankings, depth) for rankings in zip(*lists, strict=True)]

    def _one(self, rankings: Sequence[Ranking], depth: int) -> Ranking:
        if not self.quotas:
            return self._fuse(rankings, depth)
        everything = self._fuse(rankings, sum(len(ranking.doc_ids) for ranking in rankings))
        named = dict(zip((miner.source for miner in self.miners), rankings, strict=True))
        return with_quotas(everything, named, self.quotas, depth)

    def _fuse(self, rankings: Sequence[Ranking], depth: int) -> Ranking:
        if self.method == "interleaved":
            return interleaved(rankings, depth)
        if self.method == "weighted":
            weights = [self.weights.get(miner.source, 1.0) for miner in self.miners]
            return weighted(rankings, weights, self.normalisation, depth)
        return reciprocal_rank(rankings, self.k, depth)
