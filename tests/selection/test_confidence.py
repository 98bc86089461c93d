"""Label-free filters of whole lists: by one teacher's confidence, by the agreement of two."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from retkd.collections.base import Collection
from retkd.errors import ScaleError
from retkd.selection.confidence import Confidence
from retkd.selection.consensus import Agreement
from retkd.selection.lists import Lists
from retkd.selection.rules import select
from retkd.selection.samplers import TopK
from tests.conftest import opened
from tests.tables import beir, rows_of, scored

QUERIES = {f"q{i}": f"query {i}" for i in range(5)}
ROWS = rows_of({q: [(f"d{i}", 9.0 - i, 1 if i == 0 else None) for i in range(4)] for q in QUERIES})
SURE = [0.0, 0.5, 1.0, 2.0, 8.0]
"""What the teacher's first document of query q0, q1, ... is above its others."""
TEACHER = [x for first in SURE for x in (first, 0.0, 0.0, 0.0)]
STUDENT = [x for q in range(5) for x in (4.0, *([3.0, 2.0, 1.0] if q < 3 else [1.0, 2.0, 9.0]))]
TABLE = scored(scored(ROWS, "ce", TEACHER), "student", STUDENT, "cosine")


@pytest.fixture
def small(tmp_path: Path) -> Collection:
    documents = {f"d{i}": f"text {i}" for i in range(4)}
    qrels = {"train": {q: {"d0": 1} for q in QUERIES}}
    return opened(beir(tmp_path / "small", documents, QUERIES, qrels), tmp_path / "cache")


def left(filter: Any, rows: pa.Table = TABLE) -> list[str]:
    """The queries whose lists stay."""
    kept = filter.kept(Lists.of(rows))
    return [q for q, start, stop in Lists.of(rows).groups if kept[start:stop].all()]


def test_confidence_by_hand() -> None:
    p = [math.exp(x) / sum(math.exp(y) for y in (2, 1, 0)) for x in (2, 1, 0)]
    entropy = -sum(x * math.log(x) for x in p)
    scores = np.array([1.0, np.nan, 2.0, 0.0])
    assert Confidence(teacher="ce").of_list(scores) == pytest.approx(1 - entropy / math.log(3), abs=1e-12)
    assert Confidence(teacher="ce", temperature=2.0).of_list(2 * scores) == pytest.approx(1 - entropy / math.log(3))
    assert Confidence(teacher="ce", by="margin").of_list(scores) == 1.0
    for by in ("entropy", "margin"):
        assert Confidence(teacher="ce", by=by).of_list(np.array([3.0, 3.0, 3.0])) == pytest.approx(0.0, abs=1e-12)
        assert Confidence(teacher="ce", by=by).of_list(np.array([3.0, np.nan])) == 0.0


@pytest.mark.parametrize("by", ["entropy", "margin"])
def test_no_limit_keeps_all_and_a_higher_one_never_more(by: Any) -> None:
    assert left(Confidence(teacher="ce", by=by)) == list(QUERIES)
    counts = [len(left(Confidence(teacher="ce", by=by, min=least))) for least in np.linspace(-0.5, 9.0, 40)]
    assert counts == sorted(counts, reverse=True)
    assert (counts[0], counts[-1]) == (5, 0)
    assert left(Confidence(teacher="ce", by="margin", min=0.5, max=2.0)) == ["q1", "q2", "q3"]


def test_agreement_has_a_middle_band_and_is_monotone() -> None:
    """Kendall's tau of (s, 0, 0, 0) with (4, 3, 2, 1) is 3 / sqrt(3 x 6); with (4, 1, 2, 9) it is 1 / sqrt(3 x 6)."""
    told = {"teachers": ("ce", "student")}
    assert left(Agreement(**told, min_tau=-1.0)) == list(QUERIES)
    assert left(Agreement(**told, min_tau=0.5)) == ["q1", "q2"]
    assert left(Agreement(**told, min_tau=0.1, max_tau=0.5)) == ["q3", "q4"]
    counts = [len(left(Agreement(**told, min_tau=least))) for least in np.linspace(-1.0, 1.0, 21)]
    assert counts == sorted(counts, reverse=True)
    own = Agreement(teachers=("student", "student"), min_tau=1.0)
    assert left(own) == list(QUERIES)
    with pytest.raises(ValidationError, match=r"max_tau 0.1 is less than min_tau 0.4"):
        Agreement(**told, min_tau=0.4, max_tau=0.1)
    with pytest.raises(ValidationError, match=r"max 0.1 is less than min 0.9: no list would stay"):
        Confidence(teacher="ce", min=0.9, max=0.1)


@pytest.mark.parametrize(
    "filter",
    [
        Confidence(teacher="ce", min=0.1),
        Confidence(teacher="ce", by="margin", min=1.0),
        Agreement(teachers=("ce", "student")),
    ],
    ids=lambda filter: filter.kind,
)
def test_no_judgement_is_read(filter: Any) -> None:
    """Other grades, or none at all, change nothing."""
    at = TABLE.schema.get_field_index("relevance")
    for grades in ([None] * TABLE.num_rows, [row % 3 for row in range(TABLE.num_rows)]):
        other = TABLE.set_column(at, TABLE.schema.field(at), pa.array(grades, pa.int8()))
        assert np.array_equal(filter.kept(Lists.of(other)), filter.kept(Lists.of(TABLE)))


def test_whole_lists_go_and_are_counted(small: Collection) -> None:
    rule = Confidence(teacher="ce", by="margin", min=1.0)
    given: dict[str, Any] = {"sampler": TopK(num_negatives=9), "teacher": None, "unlabelled": "keep", "seed": 0}
    chosen = select(TABLE, small, "train", filters=[rule], **given)
    assert sorted(set(chosen.rows["query_id"].to_pylist())) == ["q2", "q3", "q4"]
    assert chosen.dropped == {"confidence filter on ce": 8}


def test_a_teacher_that_only_ranks_is_refused() -> None:
    with pytest.raises(ScaleError, match=r"the filter 'confidence' cannot use the scores of teacher 'ce'"):
        Confidence(teacher="ce").check(scored(ROWS, "ce", TEACHER, "rank"))
