"""Weights sum to one, are told, and follow what they claim to follow."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from retkd.errors import DataError
from retkd.teachers.base import Judgement, Rows
from retkd.teachers.ensemble import Ensemble
from retkd.teachers.member_lists import member_lists
from tests.conftest import MakeInputs
from tests.tables import rows_of, scored

TRAIN = rows_of({f"q{q}": [(f"d{q}", 3.0, 1), (f"d{q + 1}", 2.0, None), (f"d{q + 2}", 1.0, None)] for q in (0, 1)})
DEV = rows_of({f"q{q}": [(f"d{q}", 3.0, 1), (f"d{q + 1}", 2.0, None), (f"d{q + 2}", 1.0, None)] for q in (18, 19)})
GOOD, BAD = [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]
NDCG_OF_THIRD = 0.5


def splits(one: dict[str, list[float]], two: dict[str, list[float]]) -> list[Rows]:
    tables = {"train": TRAIN, "dev": DEV}
    return [
        Rows(split, scored(scored(rows, "one", one[split]), "two", two[split]), np.arange(rows.num_rows))
        for split, rows in tables.items()
    ]


GOOD_AND_BAD = splits({"train": GOOD + GOOD, "dev": GOOD + GOOD}, {"train": GOOD + GOOD, "dev": GOOD + BAD})


def judged(inputs: MakeInputs, rows: list[Rows], weights: Any, members: Any = ("one", "two")) -> Judgement:
    named = members if isinstance(members, dict) else list(members)
    return Ensemble(members=named, weights=weights).judge("both", rows, inputs(), Path("unused"))


def told(inputs: MakeInputs, rows: list[Rows], weights: Any, members: Any = ("one", "two")) -> Any:
    return judged(inputs, rows, weights, members).told["weights"]


def test_fixed_numbers_are_brought_to_sum_one(inputs: MakeInputs) -> None:
    assert told(inputs, GOOD_AND_BAD, {"kind": "fixed"}, {"one": 3.0, "two": 1.0}) == {"one": 0.75, "two": 0.25}


def test_a_committee_votes_by_its_dev_measure(inputs: MakeInputs) -> None:
    """Member two ranks one relevant document first and one third: nDCG (1 + 1 / log2 4) / 2 = 3/4, against 1."""
    found = judged(inputs, GOOD_AND_BAD, {"kind": "by_dev"}).told
    assert found["dev nDCG@10"] == {"one": 1.0, "two": 0.75}
    assert found["weights"] == {"one": round(4 / 7, 6), "two": round(3 / 7, 6)}
    soft = told(inputs, GOOD_AND_BAD, {"kind": "by_dev", "rule": "softmax", "temperature": 0.25})
    assert soft["one"] / soft["two"] == pytest.approx(np.e, abs=1e-4)


def test_a_committee_of_one_has_weight_one(inputs: MakeInputs) -> None:
    """METHODS part 2, CV-DD."""
    for weights in ({"kind": "by_dev"}, {"kind": "by_similarity"}):
        assert told(inputs, GOOD_AND_BAD, weights, ["two"]) == {"two": 1.0}


def test_the_numbers_beside_the_members_multiply(inputs: MakeInputs) -> None:
    found = told(inputs, GOOD_AND_BAD, {"kind": "by_dev"}, {"one": 1.0, "two": 4.0 / 3.0})
    assert found == pytest.approx({"one": 0.5, "two": 0.5})


def test_a_cold_similarity_takes_the_nearest_and_a_hot_one_all_alike(inputs: MakeInputs) -> None:
    """METHODS part 2, DistillWeighted: tau -> 0 is DistillNearest, tau -> inf and equal similarities are uniform."""
    cold = told(inputs, GOOD_AND_BAD, {"kind": "by_similarity", "temperature": 1e-4})
    hot = told(inputs, GOOD_AND_BAD, {"kind": "by_similarity", "temperature": 1e6})
    assert cold == {"one": 1.0, "two": 0.0}
    assert hot == pytest.approx({"one": 0.5, "two": 0.5}, abs=1e-5)
    alike = splits({"train": GOOD * 2, "dev": BAD * 2}, {"train": BAD * 2, "dev": BAD * 2})
    assert told(inputs, alike, {"kind": "by_similarity"}) == {"one": 0.5, "two": 0.5}


def test_similarity_is_the_mean_tau_with_the_grades(inputs: MakeInputs) -> None:
    """Scores 3, 2, 1 against grades 1, 0, 0: two pairs right of three and two untied, 2 / sqrt(6)."""
    found = judged(inputs, GOOD_AND_BAD, {"kind": "by_similarity"}).told["dev correlation"]
    assert found == {"one": round(2 / np.sqrt(6), 6), "two": 0.0}


def test_labels_of_train_play_no_part_in_what_dev_decides(inputs: MakeInputs) -> None:
    other = splits({"train": BAD * 2, "dev": GOOD * 2}, {"train": BAD * 2, "dev": GOOD + BAD})
    for weights in ({"kind": "by_dev"}, {"kind": "by_similarity"}):
        assert told(inputs, other, weights) == told(inputs, GOOD_AND_BAD, weights)


def test_a_positive_that_no_miner_found_does_not_count(inputs: MakeInputs) -> None:
    """Row 0 of each list comes from the qrels: what is left is not judged relevant."""
    table = GOOD_AND_BAD[1].table
    source = ["qrels" if rank == 1 else "made" for rank in table["rank"].to_pylist()]
    at = table.schema.get_field_index("source")
    import pyarrow as pa

    moved = table.set_column(at, table.schema.field("source"), pa.array(source).dictionary_encode())
    with pytest.raises(DataError, match=r"by_dev learns from the judgements .* no candidate there is judged relevant"):
        judged(inputs, [GOOD_AND_BAD[0], Rows("dev", moved, np.arange(6))], {"kind": "by_dev"})


def test_margin_gives_the_surer_member_more_query_by_query(inputs: MakeInputs) -> None:
    """On q0 member one is sure of one document and two of none; on q1 it is the other way round."""
    sure, unsure = [5.0, 0.0, 0.0], [5.0, 5.0, 0.0]
    rows = splits({"train": sure + unsure, "dev": GOOD * 2}, {"train": unsure + sure, "dev": GOOD * 2})
    margin = 3 / np.sqrt(2)
    for by, temperature in (("margin", 1.0), ("entropy", 0.1)):
        found = judged(inputs, rows, {"kind": "per_query", "by": by, "temperature": temperature})
        assert found.told["mean_weights"]["train"] == pytest.approx({"one": 0.5, "two": 0.5})
        a, b = 2 / np.sqrt(2), 1 / np.sqrt(2)  # standardised: sure (a, -b, -b), unsure (b, b, -a)
        weight = 1 / (1 + np.exp(-margin)) if by == "margin" else None
        second = found.scores["train"][1]
        if weight is not None:
            assert second == pytest.approx(weight * -b + (1 - weight) * b, abs=1e-6)
        assert second < 0
        assert found.scores["train"][0] > (a + b) / 2
        assert np.array_equal(found.scores["train"][:3], found.scores["train"][3:])


def test_agreement_reads_labels_of_train_alone(inputs: MakeInputs) -> None:
    """Member one is right on q0 and wrong on q1, two the reverse; elsewhere both have their mean, which is equal."""
    rows = splits({"train": GOOD + BAD, "dev": GOOD * 2}, {"train": BAD + GOOD, "dev": BAD * 2})
    found = judged(inputs, rows, {"kind": "per_query", "by": "agreement", "temperature": 0.1})
    right = 1 / (1 + np.exp(-10))
    z = np.sqrt(1.5)
    assert found.scores["train"] == pytest.approx(np.array([z, 0, -z] * 2) * (2 * right - 1), abs=1e-5)
    assert found.scores["dev"] == pytest.approx(np.zeros(6), abs=1e-6)


def test_agreement_without_labels_is_refused(inputs: MakeInputs) -> None:
    unlabelled = [GOOD_AND_BAD[1]]
    with pytest.raises(DataError, match="by agreement needs train queries with a relevant and another candidate"):
        judged(inputs, unlabelled, {"kind": "per_query", "by": "agreement", "temperature": 0.1})


def test_a_softmax_needs_its_temperature() -> None:
    for weights in ({"kind": "by_dev", "rule": "softmax"}, {"kind": "by_dev", "temperature": 0.1}):
        with pytest.raises(ValidationError, match="`temperature` goes with `rule: softmax`"):
            Ensemble(members=["one"], weights=weights)


def test_weights_of_every_query_sum_to_one(inputs: MakeInputs) -> None:
    lists = {rows.split: member_lists(rows, ["one", "two"], ranks_do=False) for rows in GOOD_AND_BAD}
    qrels = inputs().collection.qrels
    for weights in (
        {"kind": "fixed"},
        {"kind": "by_dev"},
        {"kind": "by_similarity"},
        *({"kind": "per_query", "by": by, "temperature": 0.3} for by in ("margin", "entropy", "agreement")),
    ):
        found = Ensemble(members=["one", "two"], weights=weights).weights.weigh(np.array([0.5, 0.5]), lists, qrels)
        assert {split: w.shape for split, w in found.of_queries.items()} == {"train": (2, 2), "dev": (2, 2)}
        assert all(w.sum(axis=0) == pytest.approx(np.ones(2)) for w in found.of_queries.values())
