"""CL-DRD's graded targets."""

import pytest
from pydantic import ValidationError

from retkd import candidates
from retkd.errors import DataError
from retkd.selection.curriculum import ClDrd
from tests.tables import rows_of, scored, teacher_scores

ROWS = rows_of(
    {
        "q1": [(f"d{i}", 9.0 - i, 1 if i == 0 else None) for i in range(5)],
        "q2": [("d0", 2.0, 1), ("d1", 1.0, None)],
    }
)
SCORED = scored(ROWS, "ce", [0.1, 0.5, 0.4, 0.9, 0.4, 1.0, 2.0])


def test_the_top_gets_reciprocal_ranks_and_the_rest_its_constants() -> None:
    """q1 by ce: d3, d1, then d2 before d4 (equal, the miner's order), d0. q2: d1, d0."""
    rows = ClDrd(teacher="ce", num_top=2, rest=[0.0, -0.5]).applied(SCORED)
    assert teacher_scores(rows, "cl_drd").tolist() == [-0.5, 0.5, 0.0, 1.0, 0.0, 0.5, 1.0]
    assert candidates.scale_of(rows, "cl_drd") == "rank"
    assert rows.drop_columns(["teacher.cl_drd"]).equals(SCORED)


@pytest.mark.parametrize(("num_top", "rest"), [(5, 25), (10, 20), (20, 10), (30, 0)])
def test_the_label_modes_of_the_paper(num_top: int, rest: int) -> None:
    targets = ClDrd(teacher="ce", num_top=num_top).targets(30).tolist()
    assert targets[:num_top] == [1 / rank for rank in range(1, num_top + 1)]
    assert targets[num_top:] == [0.0] * rest


def test_a_list_shorter_than_the_top() -> None:
    assert ClDrd(teacher="ce", num_top=5).targets(2).tolist() == [1.0, 0.5]


def test_targets_that_do_not_fall_and_a_column_over_its_teacher_are_refused() -> None:
    for rest in ([0.0, 0.0], [-0.5, -0.25], [0.5]):
        with pytest.raises(ValidationError, match="must fall, from below 1/num_top"):
            ClDrd(teacher="ce", num_top=2, rest=rest)
    with pytest.raises(ValidationError, match="would overwrite the teacher that it is made from"):
        ClDrd(teacher="ce", column="ce", num_top=2)


def test_a_row_without_a_score_is_refused() -> None:
    with pytest.raises(DataError) as error:
        ClDrd(teacher="ce", num_top=2).applied(scored(ROWS, "ce", [0.1, None, 0.4, 0.9, 0.4, 1.0, 2.0]))
    assert str(error.value) == (
        "the labels 'cl_drd' rank every row by teacher 'ce', and some have no score\n"
        "  where: query_id 'q1', doc_id 'd1'\n"
        "  seen: 1 rows\n"
        "  next step: drop them in this stage with `teacher: ce`, or score deeper"
    )
