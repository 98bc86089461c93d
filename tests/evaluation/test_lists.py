"""R_n@k over lists of candidates that are given."""

import pytest

from retkd.errors import DataError, RecipeError
from retkd.evaluation.measures import measured
from retkd.evaluation.names import cutoff_of, ir_measure, measure_name

QRELS = {"one": {"a": 1, "x": 0}, "two": {"b": 1, "c": 2}, "far": {"e": 1}}
RUN = {
    "one": [("x", 9.0), ("a", 8.0), ("u", 7.0), ("v", 6.0)],
    "two": [("b", 9.0), ("x", 8.0), ("c", 7.0), ("u", 6.0)],
    "far": [("x", 9.0), ("u", 8.0), ("v", 7.0), ("e", 6.0)],
}


def test_values_by_hand() -> None:
    """One true answer at place 2; two at 1 and 3, of which half are found at once; one at the last place."""
    values = measured([("s", RUN)], QRELS, ["R4@1", "R_4@2", "R4@3", "MRR@4", "R@2"])
    assert values.measures == ["R4@1", "R4@2", "R4@3", "MRR@4", "R@2"]
    order = [values.query_ids.index(query_id) for query_id in ("one", "two", "far")]
    assert values.of("s", "R4@1")[order].tolist() == [0.0, 0.5, 0.0]
    assert values.of("s", "R4@2")[order].tolist() == [1.0, 0.5, 0.0]
    assert values.of("s", "R4@3")[order].tolist() == [1.0, 1.0, 0.0]
    assert values.of("s", "MRR@4")[order].tolist() == [0.5, 1.0, 0.25]
    assert values.of("s", "R@2")[order].tolist() == [1.0, 0.5, 0.0]


def test_a_judged_answer_that_is_not_in_the_list_does_not_count() -> None:
    values = measured([("s", {"q": [("a", 2.0), ("u", 1.0)]})], {"q": {"a": 1, "elsewhere": 1}}, ["R2@1", "R@1"])
    assert values.values[0, :, 0].tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    ("ranking", "seen"),
    [
        ([("a", 3.0), ("u", 2.0), ("v", 1.0)], "3 candidates, 1 of them relevant"),
        ([("w", 3.0), ("u", 2.0)], "2 candidates, 0 of them relevant"),
        ([], "0 candidates, 0 of them relevant"),
    ],
)
def test_a_ranking_that_is_no_list_of_this_length(ranking: list[tuple[str, float]], seen: str) -> None:
    with pytest.raises(DataError) as error:
        measured([("student", {"q": ranking})], {"q": {"a": 1}}, ["R2@1"])
    assert str(error.value) == (
        "R2@1 is over lists of 2 candidates of which one is relevant at least, and this is none\n"
        "  where: system 'student', query_id 'q'\n"
        f"  seen: {seen}\n"
        "  allowed: systems of kind rerank or candidates whose table holds the lists as they are given\n"
        "  next step: mine the lists (miner: {kind: responses, depth: 2}, or a run_file of them), score them, and give "
        "the evaluate stage these systems alone"
    )


def test_names() -> None:
    assert [measure_name(name) for name in ("R10@1", "R_10@5", "R@10")] == ["R10@1", "R10@5", "R@10"]
    assert [cutoff_of(name) for name in ("R10@1", "R@5")] == [10, 5]
    with pytest.raises(RecipeError, match="among the first 10 of 10 candidates is every one"):
        measure_name("R10@10")
    with pytest.raises(RecipeError, match="R10@1 is measured over lists of candidates that are given"):
        ir_measure("R10@1")
