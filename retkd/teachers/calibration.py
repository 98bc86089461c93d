"""Calibrations: how the scores of different teachers are brought to one scale before they are averaged."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from retkd.candidates import require_scale
from retkd.parts import Part, Scale, one_of, registry
from retkd.teachers.isotonic import Curve, isotonic
from retkd.teachers.score_lists import list_ranks, min_max_lists, softmax_lists, standardised_lists

if TYPE_CHECKING:
    import pyarrow as pa


def not_test(split: str) -> str:
    """The split itself, unless it is the one that evaluations report."""
    if split == "test":
        raise ValueError("the test split is what the evaluation reports: nothing may be fitted to its judgements")
    return split


class Calibration(Part):
    """Maps one member's raw scores to what is averaged. ``READS_RANKS``: it looks at the order alone."""

    READS_RANKS: ClassVar[bool] = False

    @property
    def scale(self) -> Scale:
        """The scale of the mean."""
        raise NotImplementedError

    @property
    def label_split(self) -> str | None:
        """The split whose judgements :meth:`fit` needs, if it needs any."""
        return None

    def check(self, rows: "pa.Table", members: Sequence[str]) -> None:
        """Raise a :class:`RetkdError` when this calibration cannot read the members' columns."""

    def fit(self, scores: np.ndarray, relevant: np.ndarray) -> Curve | None:
        """What is learned from one member's scores and the labels of the same rows."""
        return None

    def calibrated(self, query_ids: np.ndarray, scores: np.ndarray, curve: Curve | None) -> np.ndarray:
        """Float64 values of one member's rows."""
        raise NotImplementedError

    def combined(self, mean: np.ndarray) -> np.ndarray:
        """The ensemble's score from the weighted mean of the members' values."""
        return mean


class Standardise(Calibration):
    """Each list at mean 0 and deviation 1: a member's shift and scale stop counting, its spread within a list too."""

    kind: Literal["standardise"] = "standardise"

    @property
    def scale(self) -> Scale:
        """A mean of standardised lists."""
        return "standardised"

    def calibrated(self, query_ids: np.ndarray, scores: np.ndarray, curve: Curve | None) -> np.ndarray:
        """Standardised lists."""
        return standardised_lists(query_ids, scores)


class MinMax(Calibration):
    """Each list from 0 (its lowest) to 1 (its highest). The ends of a list decide everything, and they are no probability."""

    kind: Literal["min_max"] = "min_max"

    @property
    def scale(self) -> Scale:
        """Sums whose zero means nothing: the lowest document of a list, however relevant it is."""
        return "unbounded"

    def calibrated(self, query_ids: np.ndarray, scores: np.ndarray, curve: Curve | None) -> np.ndarray:
        """Lists from 0 to 1."""
        return min_max_lists(query_ids, scores)


class Softmax(Calibration):
    """Each list as softmax(standardised scores / temperature); the ensemble is the log of the mean of these probabilities.

    A soft target averaged over teachers (MT-DNN ensembles, Liu et al. 2019), so a document needs one convinced teacher,
    where `standardise` takes the geometric view. The paper averages class probabilities; lists are ours.
    """

    kind: Literal["softmax"] = "softmax"
    temperature: float = Field(default=1.0, gt=0.0)

    @property
    def scale(self) -> Scale:
        """`kl` at teacher temperature 1 reads the mean distribution itself."""
        return "log_probability"

    def calibrated(self, query_ids: np.ndarray, scores: np.ndarray, curve: Curve | None) -> np.ndarray:
        """Probabilities that sum to one in each list, never zero."""
        shares = softmax_lists(query_ids, standardised_lists(query_ids, scores), self.temperature)
        return np.asarray(np.maximum(shares, np.finfo(np.float32).tiny))

    def combined(self, mean: np.ndarray) -> np.ndarray:
        """The log of the mean distribution."""
        return np.asarray(np.log(mean))


class Isotonic(Calibration):
    """The probability of relevance at a score, from a rising curve fitted to the labels of ``split``.

    An unjudged candidate counts as not relevant, as it does in every measure here: with sparse judgements the
    probabilities are too low, but alike for all members. Rows between two steps of a curve tie. What is measured
    afterwards on the same split is optimistic.
    """

    kind: Literal["isotonic"] = "isotonic"
    split: str = "dev"
    log_odds: bool = Field(default=False, description="average logits instead of probabilities, which `kl` can read")

    _split = field_validator("split")(not_test)

    @property
    def scale(self) -> Scale:
        """A mean of probabilities, or of their logits."""
        return "logit" if self.log_odds else "probability"

    @property
    def label_split(self) -> str | None:
        """Where the curves are fitted."""
        return self.split

    def fit(self, scores: np.ndarray, relevant: np.ndarray) -> Curve | None:
        """The curve of one member."""
        return isotonic(scores, relevant)

    def calibrated(self, query_ids: np.ndarray, scores: np.ndarray, curve: Curve | None) -> np.ndarray:
        """Probabilities; as logits, kept half a row away from 0 and 1."""
        assert curve is not None
        probabilities = curve(scores)
        if not self.log_odds:
            return probabilities
        least = 0.5 / curve.num_rows
        kept = np.clip(probabilities, least, 1.0 - least)
        return np.asarray(np.log(kept) - np.log1p(-kept))


class RankFusion(Calibration):
    """1 / (k + rank) in the member's own order: reciprocal rank fusion (Cormack et al. 2009). Takes members that only rank."""

    READS_RANKS: ClassVar[bool] = True

    kind: Literal["rank_fusion"] = "rank_fusion"
    k: int = Field(default=60, ge=0)

    @property
    def scale(self) -> Scale:
        """A higher number is a better place, and says no more."""
        return "rank"

    def calibrated(self, query_ids: np.ndarray, scores: np.ndarray, curve: Curve | None) -> np.ndarray:
        """Reciprocal ranks; ties by the miner's rank."""
        return np.asarray(1.0 / (self.k + list_ranks(query_ids, scores)))


class Raw(Calibration):
    """The scores as they are, of members that are on one scale; with ``sigmoid``, the probabilities of their logits.

    So the two models of a mutual Trans-Encoder label pairs (Liu et al. 2022): the mean of two cosines, of two sigmoids.
    """

    kind: Literal["raw"] = "raw"
    of: Literal["logit", "log_probability", "probability", "cosine", "unbounded", "standardised"]
    sigmoid: bool = False

    @model_validator(mode="after")
    def _sigmoid_of_logits(self) -> "Raw":
        if self.sigmoid and self.of != "logit":
            raise ValueError(f"`sigmoid` makes probabilities of logits; these members are of scale {self.of}")
        return self

    @property
    def scale(self) -> Scale:
        """The members' own, or probability."""
        return "probability" if self.sigmoid else self.of

    def check(self, rows: "pa.Table", members: Sequence[str]) -> None:
        """Every member is on the scale that was told."""
        for member in members:
            rule = "name the members' scale in `of`, or bring them to one with `calibration: {kind: standardise}`"
            require_scale(rows, member, [self.of], "the calibration 'raw'", rule)

    def calibrated(self, query_ids: np.ndarray, scores: np.ndarray, curve: Curve | None) -> np.ndarray:
        """The scores, or 1 / (1 + exp(-score))."""
        return 0.5 * (1.0 + np.tanh(0.5 * scores)) if self.sigmoid else scores


CALIBRATIONS = registry("calibrations", Standardise, MinMax, Softmax, Isotonic, RankFusion, Raw)

AnyCalibration: Any = one_of(CALIBRATIONS)
