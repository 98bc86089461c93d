"""Queries that a student gets wrong: how far it is from its teacher, which are repeated, and when there is nothing left."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retkd import candidates
from retkd.errors import DataError, ScaleError
from retkd.selection.repeats import Disagreement, Repeats
from retkd.selection.samplers import TopK
from retkd.stages import select, train
from retkd.training.examples import Repeated
from retkd.training.query_order import REPEATS, Oversampled, Shuffled, num_errors_of, write_repeats
from tests.conftest import MakeInputs, files
from tests.distilling import examples
from tests.tables import rows_of, scored
from tests.tables import written as table_written

ORDERS = {"q0": (3, 2, 1), "q1": (1, 2, 3), "q2": (3, 1, 2), "q3": (2, 3, 1)}
"""What the student gives d0, d1, d2, to which its teacher gives 3, 2, 1: tau is 1, -1, 1/3, 1/3."""
ROWS = rows_of({q: [(f"d{i}", 9.0 - i, None) for i in range(3)] for q in ORDERS})
TABLE = scored(
    scored(ROWS, "ce", [3.0, 2.0, 1.0] * 4), "student", [float(x) for order in ORDERS.values() for x in order], "cosine"
)


NO_ERRORS = {"errors": 0, "repeated": 0, "of_queries": 4, "mean_tau_distance": 0.0}


def times(table: Any = TABLE, **told: Any) -> tuple[list[int], dict[str, Any]]:
    rule = Repeats(**{"teacher": "ce", "student": "student", "share": 1.0, **told})
    found, errors, said = rule.times_of(table, list(ORDERS))
    assert int(errors.sum()) == said["errors"]
    return found.tolist(), said


def test_distances_by_hand() -> None:
    teacher, student = np.array([3.0, 1.0, 2.0]), np.array([2.0, 1.0, 0.0])
    assert Disagreement(teacher="ce").of_list(teacher, student) == pytest.approx(2 / 3)
    told: dict[str, Any] = {"teacher": "ce", "by": "kl"}
    kl = Disagreement(**told, student_temperature=1.0)
    assert kl.of_list(teacher, student) == pytest.approx(0.1546978979, abs=1e-9)
    assert kl.of_list(student + 5.0, student) == pytest.approx(0.0, abs=1e-12)
    both = Disagreement(**told, teacher_temperature=2.0, student_temperature=0.1)
    assert both.of_list(2 * teacher, 0.1 * student) == pytest.approx(0.1546978979, abs=1e-9)


def test_only_the_students_own_top_counts_where_both_have_scored() -> None:
    teacher, student = np.array([1.0, 2.0, 9.0, np.nan]), np.array([5.0, 4.0, 3.0, 9.0])
    assert Disagreement(teacher="ce").of_list(teacher, student) == 2.0
    assert Disagreement(teacher="ce", top=2).of_list(teacher, student) == 2.0
    assert Disagreement(teacher="ce", top=2).of_list(np.array([2.0, 1.0, 9.0, np.nan]), student) == 0.0
    assert Disagreement(teacher="ce").of_list(np.array([1.0, np.nan]), np.array([1.0, 2.0])) == 0.0


def test_the_worst_queries_are_repeated_ties_by_id() -> None:
    found, told = times(times=3)
    assert found == [1, 3, 3, 3]
    mean = round((0 + 2 + 2 / 3 + 2 / 3) / 4, 6)
    assert told == {"errors": 3, "repeated": 3, "of_queries": 4, "mean_tau_distance": mean}
    assert times(share=0.5)[0] == [1, 2, 2, 1]
    assert times(share=0.25)[0] == [1, 2, 1, 1]
    assert times(at_least=1.0)[0] == [1, 2, 1, 1]
    assert times(at_least=2.1)[0] == [1, 1, 1, 1]
    told = times(share=0.25, at_least=0.5)[1]
    assert (told["errors"], told["repeated"]) == (3, 1)


def test_a_student_in_its_teachers_order_makes_no_error() -> None:
    assert times(student="ce") == ([1, 1, 1, 1], NO_ERRORS)


def test_no_judgement_is_read() -> None:
    at = TABLE.schema.get_field_index("relevance")
    judged = TABLE.set_column(at, TABLE.schema.field(at), pa.array([row % 2 for row in range(12)], pa.int8()))
    assert times(judged) == times()


def test_kl_of_what_only_ranks_is_refused() -> None:
    ranks = scored(TABLE, "ce", [1.0] * 12, "rank")
    Repeats(teacher="ce", student="student").check(ranks)
    with pytest.raises(ScaleError, match="`repeats` by kl cannot use the scores of teacher 'ce'"):
        Repeats(teacher="ce", student="student", by="kl").check(ranks)


def test_a_pass_has_them_so_often() -> None:
    lists = examples(4)
    repeated = Repeated(lists, np.array([1, 3, 1, 2]))
    assert [repeated[i].query_id for i in range(len(repeated))] == ["q0", "q1", "q1", "q1", "q2", "q3", "q3"]


def test_a_stage_without_repeats_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        Oversampled().times(["q0"], "select", {"select": tmp_path})
    assert str(error.value) == (
        "the stage 'select' does not say which queries to repeat\n"
        "  where: batches: {kind: oversampled}\n"
        "  allowed: a select stage with `repeats: {teacher: ..., student: ...}`\n"
        "  next step: add `repeats` to stages.select, or name the select stage that has them in batches.repeats"
    )
    write_repeats(["q0"], np.array([2]), np.array([True]), tmp_path)
    with pytest.raises(DataError, match=r"training queries have no times\n.*\n  seen: 1, such as 'q9'"):
        Oversampled().times(["q9"], "select", {"select": tmp_path})
    assert Shuffled().times(["q9"], "select", {"select": tmp_path}) is None


RULE: dict[str, Any] = {"teacher": "bm", "student": "other", "share": 0.5, "at_least": 0.1}


@pytest.fixture
def with_student(scored_artifact: Path, tmp_path: Path) -> Path:
    """The scored tables with a student that is wrong on every second query."""
    out = tmp_path / "with_student"
    for split in candidates.splits(scored_artifact):
        rows = candidates.read(scored_artifact / split)
        sign = np.concatenate(
            [np.full(stop - start, 1 - 2 * (n % 2)) for n, (_, start, stop) in enumerate(candidates.groups(rows))]
        )
        other = (rows["teacher.bm"].to_numpy() * sign).astype(np.float32)
        table_written(candidates.with_teacher(rows, "other", other, "cosine"), out / split)
    return out


@pytest.fixture
def scored_artifact(request: pytest.FixtureRequest) -> Path:
    """The session's score stage; the function of the same name hides the fixture here."""
    found: Path = request.getfixturevalue("scored")
    return found


def test_select_writes_them_and_a_training_goes_by_them(
    with_student: Path, encoder_folder: Path, inputs: MakeInputs, tmp_path: Path
) -> None:
    config = select.Config(
        candidates="score", sampler=TopK(num_negatives=3), unlabelled="keep", repeats=Repeats(**RULE)
    )
    given = {"score": with_student, "select": tmp_path / "select"}
    metrics = select.run(config, inputs(given), tmp_path / "select")
    assert metrics.values["repeats"]["errors"] == 9
    found = Oversampled().times([f"q{i}" for i in range(18)], "select", given)
    assert sorted(found.tolist()) == [1] * 9 + [2] * 9
    told: dict[str, Any] = {
        "candidates": "select",
        "student": {"kind": "dense", "base": "base", "layers": [1]},
        "objective": [{"kind": "kl", "teacher": "bm"}],
        "steps": 8,
        "batch_queries": 4,
    }
    ready = inputs(given, {"base": encoder_folder})
    train.run(train.Config(**told), ready, tmp_path / "plain")
    metrics = train.run(train.Config(**told, batches={"kind": "oversampled"}), ready, tmp_path / "often")
    assert metrics.values["steps"] == 8
    assert files(tmp_path / "often")["trace.jsonl"] != files(tmp_path / "plain")["trace.jsonl"]


def test_a_loop_with_fewer_errors_goes_on_where_its_share_caps_both(
    with_student: Path, inputs: MakeInputs, tmp_path: Path
) -> None:
    """Nine of 18 queries are errors, then fewer: of each round the share lets one be repeated."""
    given = {"score": with_student, "first": tmp_path / "first", "second": tmp_path / "second"}
    told: dict[str, Any] = {"candidates": "score", "sampler": TopK(num_negatives=3), "unlabelled": "keep"}
    rule = {**RULE, "share": 1 / 18}
    metrics = select.run(select.Config(**told, repeats=Repeats(**rule)), inputs(given), tmp_path / "first")
    assert {name: metrics.values["repeats"][name] for name in ("errors", "repeated")} == {"errors": 9, "repeated": 1}
    fewer = Repeats(**{**rule, "at_least": 1.99, "top": 2}, before="first")
    metrics = select.run(select.Config(**told, repeats=fewer), inputs(given), tmp_path / "second")
    assert metrics.values["repeats"]["errors"] < 9
    assert metrics.values["repeats"]["repeated"] == 1


def test_a_round_that_did_not_count_its_errors_is_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({"query_id": ["q0"], "times": pa.array([2], pa.int32())}), tmp_path / REPEATS)
    with pytest.raises(DataError, match=r"an earlier retkd, which counted no more errors than it repeated\n  where: "):
        num_errors_of(tmp_path)


def test_a_loop_without_fewer_errors_stops(
    with_student: Path, encoder_folder: Path, inputs: MakeInputs, tmp_path: Path
) -> None:
    """The same errors as the round before: none is repeated, and the training publishes its base."""
    given = {"score": with_student, "first": tmp_path / "first", "second": tmp_path / "second"}
    told: dict[str, Any] = {"candidates": "score", "sampler": TopK(num_negatives=3), "unlabelled": "keep"}
    select.run(select.Config(**told, repeats=Repeats(**RULE)), inputs(given), tmp_path / "first")
    metrics = select.run(
        select.Config(**told, repeats=Repeats(**RULE, before="first")), inputs(given), tmp_path / "second"
    )
    assert metrics.values["repeats"]["repeated"] == 0
    student = {"kind": "dense", "base": "base", "layers": [1]}
    config = train.Config(
        candidates="second",
        student=student,
        objective=[{"kind": "kl", "teacher": "bm"}],
        steps=3,
        batches={"kind": "oversampled", "stop": True},
    )
    ready = inputs(given, {"base": encoder_folder})
    assert train.run(config, ready, tmp_path / "stopped").values["steps"] == 0
    untrained = train.Config(candidates="second", student=student, objective=[{"kind": "infonce"}], steps=0)
    train.run(untrained, ready, tmp_path / "base")
    assert files(tmp_path / "stopped" / "model") == files(tmp_path / "base" / "model")
    going = config.model_copy(update={"batches": Oversampled(repeats="first", stop=True)})
    assert train.run(going, ready, tmp_path / "going").values["steps"] == 3

    told = config.model_dump() | {"objective": [{"kind": "in_batch_kl", "model": "base"}]}
    told["student"]["adaptation"] = {"kind": "prune", "sparsity": 0.3}
    train.run(train.Config(**told), ready, tmp_path / "uncut")
    assert files(tmp_path / "uncut" / "model") == files(tmp_path / "base" / "model")
    assert not list(ready.store.rglob("vectors.npy"))
