"""Weightings: how much each member of an ensemble counts, for all queries or query by query."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from retkd.collections.base import Qrels
from retkd.errors import DataError
from retkd.parts import Part, one_of, registry
from retkd.teachers.calibration import not_test
from retkd.teachers.member_lists import MemberLists, judged_rows
from retkd.teachers.score_lists import softmax_lists, standardised_lists

QrelsOf = Callable[[str], Qrels]


@dataclass(frozen=True)
class Weights:
    """``of_queries`` is split -> ``[member, query]``, queries by id, columns summing to 1; ``told`` goes into the metrics."""

    of_queries: dict[str, np.ndarray]
    told: dict[str, Any] = field(default_factory=dict)


class Weighting(Part):
    """Turns the recipe's own numbers, which sum to 1, into weights; what is learned here multiplies them."""

    def weigh(self, prior: np.ndarray, lists: Mapping[str, MemberLists], qrels: QrelsOf) -> Weights:
        """Weights of every query of every split."""
        raise NotImplementedError


class Fixed(Weighting):
    """The numbers beside the members."""

    kind: Literal["fixed"] = "fixed"

    def weigh(self, prior: np.ndarray, lists: Mapping[str, MemberLists], qrels: QrelsOf) -> Weights:
        """The same for every query."""
        return constant(prior, lists, {})


class ByDev(Weighting):
    """Committee voting by quality: each member counts by the nDCG of its own ranking of the candidates of ``split``.

    CV-DD ("Dataset Distillation via Committee Voting") weighs models by their prior performance; the measure and the two
    rules are ours: w_k is proportional to nDCG_k, or to exp(nDCG_k / temperature).
    """

    kind: Literal["by_dev"] = "by_dev"
    split: str = "dev"
    cutoff: int = Field(default=10, ge=1, description="of nDCG")
    rule: Literal["proportional", "softmax"] = "proportional"
    temperature: float | None = Field(default=None, gt=0.0, description="of the softmax; nDCG lies between 0 and 1")

    _split = field_validator("split")(not_test)

    @model_validator(mode="after")
    def _temperature_of_a_softmax(self) -> "ByDev":
        if (self.rule == "softmax") != (self.temperature is not None):
            raise ValueError("`temperature` goes with `rule: softmax`, and that rule needs one, for example 0.05")
        return self

    def weigh(self, prior: np.ndarray, lists: Mapping[str, MemberLists], qrels: QrelsOf) -> Weights:
        """The same for every query."""
        own = qrels(self.split) if self.split in lists else None
        judged = judged_rows(lists, self.split, own, "the weighting by_dev")
        quality = judged.ndcg(own or {}, self.cutoff)
        told = {f"{self.split} nDCG@{self.cutoff}": by_member(judged, quality)}
        if self.temperature is not None:
            return constant(tilted(prior, quality / self.temperature), lists, told)
        if not quality.sum():
            raise DataError(
                f"every member has nDCG@{self.cutoff} 0 on {self.split}: the weighting by_dev has nothing to go by",
                next_step="look at the candidates of that split, or use `weights: {kind: fixed}`",
            )
        return constant(prior * quality / (prior * quality).sum(), lists, told)


class BySimilarity(Weighting):
    """w_k is proportional to exp(sim_k / temperature): the teacher whose task is nearest to this collection counts most.

    sim_k is the member's zero-shot fit: Kendall's tau-b between its scores and the grades (unjudged is 0) in each judged
    list of ``split``, averaged over lists. A low temperature takes the nearest teacher alone, a high one all alike.
    DistillWeighted and DistillNearest (Borup et al. 2023, "Distilling from Similar Tasks for Transfer Learning on a
    Budget"), whose similarity compares features of images; correlation with judged pairs is ours.
    """

    kind: Literal["by_similarity"] = "by_similarity"
    split: str = "dev"
    temperature: float = Field(default=0.1, gt=0.0)

    _split = field_validator("split")(not_test)

    def weigh(self, prior: np.ndarray, lists: Mapping[str, MemberLists], qrels: QrelsOf) -> Weights:
        """The same for every query."""
        own = qrels(self.split) if self.split in lists else None
        judged = judged_rows(lists, self.split, own, "the weighting by_similarity")
        similarity = judged.correlation()
        told = {f"{self.split} correlation": by_member(judged, similarity)}
        return constant(tilted(prior, similarity / self.temperature), lists, told)


class PerQuery(Weighting):
    """w_k(q) is proportional to exp(c_k(q) / temperature), c being how sure or how right member k is on query q.

    ``margin``: the first minus the second of the member's standardised list (0 for a list of one). ``entropy``: 1 - H / log n
    of the softmax of that list, from 0 (flat) to 1 (one document). ``agreement``: on train queries with a relevant and
    another candidate, the share of such pairs that the member puts in the right order, ties half; on all other queries
    the member's mean of that, because a label of dev or test must not choose its own teacher.
    """

    kind: Literal["per_query"] = "per_query"
    by: Literal["margin", "entropy", "agreement"]
    temperature: float = Field(gt=0.0, description="margins span some units, the other two lie between 0 and 1")

    def weigh(self, prior: np.ndarray, lists: Mapping[str, MemberLists], qrels: QrelsOf) -> Weights:
        """Weights for each query; the metrics get their means over each split."""
        sure = self.by != "agreement"
        confidences = {s: self._sure(own) for s, own in lists.items()} if sure else self._agreements(lists)
        found = {split: tilted(prior[:, None], c / self.temperature) for split, c in confidences.items()}
        means = {split: by_member(lists[split], w.mean(axis=1)) for split, w in found.items() if w.size}
        return Weights(found, {"mean_weights": means})

    def _sure(self, lists: MemberLists) -> np.ndarray:
        columns = [self._sure_of_list(lists.scores[:, rows]) for _, rows in lists.lists()]
        return np.array(columns).reshape(len(columns), len(lists.members)).T

    def _sure_of_list(self, scores: np.ndarray) -> np.ndarray:
        num_rows = scores.shape[1]
        if num_rows < 2:
            return np.zeros(len(scores))
        one_list = np.zeros(num_rows, dtype=np.int64)
        lists = np.array([standardised_lists(one_list, row) for row in scores])
        if self.by == "margin":
            best = np.sort(lists, axis=1)[:, -2:]
            return np.asarray(best[:, 1] - best[:, 0])
        shares = np.array([softmax_lists(one_list, row) for row in lists])
        return np.asarray(1.0 + (shares * np.log(np.maximum(shares, 1e-300))).sum(axis=1) / np.log(num_rows))

    def _agreements(self, lists: Mapping[str, MemberLists]) -> dict[str, np.ndarray]:
        train = lists["train"].agreement() if "train" in lists else np.empty((0, 0))
        if not np.isfinite(train).any():
            raise DataError(
                "the weighting per_query by agreement needs train queries with a relevant and another candidate",
                seen="none",
                next_step="mine train with `add_positives: [train]`, or weigh by margin or entropy",
            )
        mean = np.nanmean(train, axis=1)[:, None]
        others = {split: np.repeat(mean, own.num_queries, axis=1) for split, own in lists.items()}
        return {**others, "train": np.where(np.isnan(train), mean, train)}


def tilted(prior: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """prior * exp(exponents), normalised over the first axis."""
    weights = prior * np.exp(exponents - exponents.max(axis=0))
    return np.asarray(weights / weights.sum(axis=0))


def constant(weights: np.ndarray, lists: Mapping[str, MemberLists], told: dict[str, Any]) -> Weights:
    """One weight per member for all queries."""
    of_queries = {s: np.repeat(weights[:, None], own.num_queries, axis=1) for s, own in lists.items()}
    first = next(iter(lists.values()))
    return Weights(of_queries, {"weights": by_member(first, weights), **told})


def by_member(lists: MemberLists, values: np.ndarray) -> dict[str, float]:
    """member -> number, rounded for the manifest."""
    return {member: round(float(value), 6) for member, value in zip(lists.members, values, strict=True)}


WEIGHTINGS = registry("weightings", Fixed, ByDev, BySimilarity, PerQuery)

AnyWeighting: Any = one_of(WEIGHTINGS)
