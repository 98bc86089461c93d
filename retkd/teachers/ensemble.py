"""Several teachers as one: their scores brought to one scale, then a weighted mean."""

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveFloat, field_validator

from retkd.collections.base import Qrels
from retkd.parts import Scale
from retkd.stage import Inputs
from retkd.teachers.base import Judgement, Rows, Teacher
from retkd.teachers.calibration import AnyCalibration, Standardise
from retkd.teachers.isotonic import Curve
from retkd.teachers.member_lists import MemberLists, judged_rows, member_lists
from retkd.teachers.weighting import AnyWeighting, Fixed


class Ensemble(Teacher):
    """Weighted mean of the calibrated scores of members that were scored before it; the weights of a query sum to 1.

    By default each list of each member is standardised and the numbers beside the members are the weights. Calibrations
    and weightings that learn from judgements read a split of the collection that is scored (dev unless told otherwise).
    """

    LATER: ClassVar[tuple[str, ...]] = ("missing",)

    kind: Literal["ensemble"] = "ensemble"
    members: dict[str, PositiveFloat] = Field(
        min_length=1, description="teacher -> weight; a list of teachers weighs them alike"
    )
    calibration: AnyCalibration = Standardise()
    weights: AnyWeighting = Field(
        default=Fixed(), description="what it learns multiplies the numbers beside the members"
    )

    missing: Literal["error", "minimum"] = Field(
        default="error",
        description="minimum: a row that a member has not scored gets the member's lowest score of that list, as where "
        "teachers have ranked candidates of their own",
    )

    @field_validator("members", mode="before")
    @classmethod
    def _alike(cls, members: Any) -> Any:
        names = isinstance(members, list) and all(isinstance(member, str) for member in members)
        return dict.fromkeys(members, 1.0) if names else members

    @property
    def scales(self) -> tuple[Scale, ...]:
        """That of the calibration."""
        return (self.calibration.scale,)

    def judge(self, name: str, splits: list[Rows], inputs: Inputs, work: Path) -> Judgement:
        """The weighted mean on the calibration's scale; weights and what they came from are told."""
        names = list(self.members)
        for rows in splits:
            self.calibration.check(rows.table, names)
        ranks_do = self.calibration.READS_RANKS
        lists = {rows.split: member_lists(rows, names, ranks_do=ranks_do, missing=self.missing) for rows in splits}
        numbers = np.array(list(self.members.values()))
        weights = self.weights.weigh(numbers / numbers.sum(), lists, inputs.collection.qrels)
        curves = self._curves(lists, inputs.collection.qrels)
        scores = {split: self._combined(own, weights.of_queries[split], curves) for split, own in lists.items()}
        return Judgement(scores, self.calibration.scale, told=weights.told)

    def _curves(self, lists: dict[str, MemberLists], qrels: Any) -> list[Curve | None]:
        split = self.calibration.label_split
        if split is None:
            return [None] * len(self.members)
        own: Qrels | None = qrels(split) if split in lists else None
        judged = judged_rows(lists, split, own, f"the calibration {self.calibration.kind}")
        return [self.calibration.fit(row, judged.grades > 0) for row in judged.scores]

    def _combined(self, lists: MemberLists, weights: np.ndarray, curves: list[Curve | None]) -> np.ndarray:
        _, query = np.unique(lists.query_ids, return_inverse=True)
        total = np.zeros(len(lists.query_ids), dtype=np.float64)
        for weight, scores, curve in zip(weights, lists.scores, curves, strict=True):
            total += weight[query] * self.calibration.calibrated(lists.query_ids, scores, curve)
        return np.asarray(self.calibration.combined(total), dtype=np.float32)
