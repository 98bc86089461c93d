"""Names of measures."""

import pytest

from retkd.errors import RecipeError
from retkd.evaluation.names import KNOWN, WITH_CUTOFF, WITHOUT_CUTOFF, ir_measure, measure_name


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("nDCG@10", "nDCG@10"),
        ("NDCG@10", "nDCG@10"),
        ("RR@10", "MRR@10"),
        ("MRR@10", "MRR@10"),
        ("MRR(rel=2)@10", "MRR(rel=2)@10"),
        ("Recall@100", "R@100"),
        ("AP", "MAP"),
    ],
)
def test_a_measure_has_one_name(written, shown):
    assert measure_name(written) == shown
    assert measure_name(shown) == shown


def test_names_are_ir_measures_names():
    import ir_measures

    assert ir_measure("MRR(rel=2)@10") == ir_measures.parse_measure("RR(rel=2)@10")
    assert ir_measure("nDCG@10") == ir_measures.nDCG @ 10
    assert set(KNOWN) <= set(ir_measures.measures.registry)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("nDGC@10", ["there is no measure 'nDGC@10'", "did you mean 'nDCG'"]),
        ("R", ["there is no measure 'R'", "add @K"]),
        ("nDCG@ten", ["not the name of a measure", "nDCG@10, MRR@10"]),
        ("MRR(rel=high)@10", ["not the name of a measure", "MRR(rel=high)@10"]),
        ("nDCG(rel=2)@10", ["nDCG has no parameter rel", "rel with RR, R, P"]),
    ],
)
def test_an_unknown_measure_says_what_is_known(written, told):
    with pytest.raises(RecipeError) as error:
        measure_name(written)
    assert all(part in str(error.value) for part in told), str(error.value)


def test_every_name_that_is_allowed_can_be_computed():
    import ir_measures

    names = [f"{name}@10" for name in WITH_CUTOFF] + list(WITHOUT_CUTOFF) + [f"{name}(rel=2)@5" for name in ("RR", "R")]
    qrels, run = {"q": {"a": 2}}, {"q": {"a": 1.0}}
    found = {m.measure for m in ir_measures.iter_calc([ir_measure(name) for name in names], qrels, run)}
    assert len(found) == len(names)
