"""What a recipe implies: its controls become stages and systems, its transfer collections copies."""

from pathlib import Path
from typing import Any

import pytest

from retkd.errors import RecipeError
from retkd.recipe import Recipe, load
from tests.recipes import TEXT, written

REPORT = TEXT + "  report: {kind: report, evaluation: evaluate}\n"
TRANSFER = REPORT + "transfer: {cranfield: {kind: beir, path: /data/cranfield}}\n"


def told(recipe: Recipe, name: str) -> dict[str, Any]:
    return recipe.stages[name].model_dump(mode="json")


@pytest.fixture
def whole(tmp_path: Path) -> Recipe:
    return load(written(tmp_path, REPORT))


def test_controls_become_systems_of_the_evaluation(whole: Recipe) -> None:
    systems = told(whole, "evaluate")["systems"]
    assert systems == {
        "student": {"kind": "dense", "model": "train", "index": "index"},
        "bm25": {"kind": "candidates", "candidates": "bm25"},
        "zero_shot": {"kind": "dense", "model": "zero_shot", "index": "zero_shot_index"},
        "control": {"kind": "dense", "model": "control", "index": "control_index"},
        "teacher": {"kind": "rerank", "candidates": "score", "teacher": "ce"},
    }
    assert told(whole, "evaluate")["controls"] == []


def test_stages_are_added_and_the_report_stays_last_and_reads_them_all(whole: Recipe) -> None:
    written_stages = ["mine", "score", "select", "train", "index", "evaluate"]
    added = ["bm25", "zero_shot", "zero_shot_index", "control", "control_index"]
    assert list(whole.stages) == [*written_stages, *added, "report"]
    assert told(whole, "report")["reads"] == [*written_stages, *added]


def test_the_contrastive_control_differs_in_the_objective_alone(whole: Recipe) -> None:
    """The recipe's own InfoNCE at weight 1, no teacher."""
    student, control = told(whole, "train"), told(whole, "control")
    assert [term["kind"] for term in student.pop("objective")] == ["kl", "infonce"]
    (term,) = control.pop("objective")
    assert (term["kind"], term["temperature"], term["weight"]) == ("infonce", 0.02, 1.0)
    assert control == student


def test_a_student_without_infonce_gets_the_default_one_as_control(tmp_path: Path) -> None:
    path = written(tmp_path, **{"      - {kind: infonce, weight: 0.1, temperature: 0.02}\n": ""})
    (term,) = told(load(path), "control")["objective"]
    assert (term["kind"], term["temperature"], term["weight"]) == ("infonce", 0.05, 1.0)


def test_the_control_of_a_wrapped_infonce_is_that_one_alone(tmp_path: Path) -> None:
    wrapped = "      - {kind: matryoshka, dims: [8], terms: [{kind: infonce, temperature: 0.07}]}\n"
    path = written(tmp_path, **{"      - {kind: infonce, weight: 0.1, temperature: 0.02}\n": wrapped})
    (term,) = told(load(path), "control")["objective"]
    assert (term["kind"], term["temperature"], term["weight"]) == ("infonce", 0.07, 1.0)


def test_the_zero_shot_control_is_the_student_without_a_step(whole: Recipe, tmp_path: Path) -> None:
    """A change of how the student is trained does not touch it; a change of the student does."""
    zero_shot = told(whole, "zero_shot")
    assert (zero_shot["steps"], zero_shot["student"]) == (0, told(whole, "train")["student"])
    path = tmp_path / "recipe.yaml"
    assert told(load(path, ["stages.train.steps=99", "stages.train.objective.0.weight=3"]), "zero_shot") == zero_shot
    assert told(load(path, ["stages.train.student.layers=[1]"]), "zero_shot") != zero_shot


def test_indexes_of_controls_are_built_as_the_students(whole: Recipe) -> None:
    for system in ("zero_shot", "control"):
        assert told(whole, f"{system}_index") == {**told(whole, "index"), "model": system}


def test_bm25_ranks_the_evaluated_splits_as_deep(whole: Recipe) -> None:
    mine = told(whole, "bm25")
    assert (mine["miner"]["kind"], mine["miner"]["depth"], mine["splits"]) == ("bm25", 100, ["dev", "test"])


def test_what_is_written_by_hand_has_precedence(tmp_path: Path) -> None:
    by_hand = "  bm25: {kind: mine, miner: {kind: bm25, depth: 100, k1: 1.2}}\n"
    path = written(tmp_path, **{"  index:\n": by_hand + "  index:\n"})
    assert told(load(path), "bm25")["miner"]["k1"] == 1.2
    systems = "{student: {kind: dense, model: train, index: index}}"
    path = written(tmp_path, **{systems: systems[:-1] + ", bm25: {kind: candidates, candidates: mine}}"})
    recipe = load(path)
    assert "bm25" not in recipe.stages
    assert told(recipe, "evaluate")["systems"]["bm25"]["candidates"] == "mine"


SECOND = """\
  train2: {kind: train, candidates: select, student: {kind: dense, base: /models/base}, objective: [{kind: infonce}]}
  index2: {kind: index, model: train2, recipe: flat}
  evaluate2:
    kind: evaluate
    systems: {student: {kind: dense, model: train2, index: index2}}
    controls: [bm25, contrastive]
"""


def test_two_evaluations_have_controls_of_their_own_where_these_differ(tmp_path: Path) -> None:
    """The second's student is another, and it ranks the test split alone."""
    recipe = load(written(tmp_path, TEXT + SECOND))
    first, second = told(recipe, "evaluate")["systems"], told(recipe, "evaluate2")["systems"]
    assert (first["control"]["model"], first["control"]["index"]) == ("control", "control_index")
    assert second["control"] == {"kind": "dense", "model": "control_evaluate2", "index": "control_index_evaluate2"}
    assert told(recipe, "control_evaluate2")["student"] == told(recipe, "train2")["student"]
    assert told(recipe, "control")["student"] == told(recipe, "train")["student"]
    assert told(recipe, "control_index_evaluate2")["model"] == "control_evaluate2"
    assert (first["bm25"]["candidates"], second["bm25"]["candidates"]) == ("bm25", "bm25_evaluate2")
    assert told(recipe, "bm25_evaluate2")["splits"] == ["test"]


def test_two_evaluations_share_controls_that_are_the_same(tmp_path: Path) -> None:
    same = SECOND.replace("train2, index: index2", "train, index: index").replace("bm25, ", "")
    recipe = load(written(tmp_path, TEXT + same))
    assert told(recipe, "evaluate2")["systems"]["control"] == told(recipe, "evaluate")["systems"]["control"]


def test_controls_of_a_student_that_no_stage_trains(tmp_path: Path) -> None:
    done = {
        "model: train, index: index": "model: /models/done, index: index",
        "model: train\n": "model: /models/done\n",
    }
    path = written(tmp_path, **done)
    with pytest.raises(RecipeError) as error:
        load(path)
    assert str(error.value) == (
        "the controls zero_shot and contrastive copy the train stage of systems.student, and its model is no stage\n"
        "  where: stages.evaluate.controls\n"
        "  seen: /models/done\n"
        "  allowed: train\n"
        "  next step: name the stage that trains the student, or leave these controls out"
    )


def test_an_evaluation_on_another_collection_has_its_bm25_there(tmp_path: Path) -> None:
    recipe = load(
        written(tmp_path, TRANSFER), ["stages.evaluate.collection=cranfield", "stages.evaluate.controls=[bm25]"]
    )
    assert recipe.stages["bm25"].collection == "cranfield"


def test_transfer_copies_what_the_evaluation_reads_and_trains_nothing(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, TRANSFER))
    copies = [name for name in recipe.stages if name.endswith("-cranfield")]
    copied = ["evaluate", "index", "score", "mine", "bm25", "zero_shot_index", "control_index"]
    assert sorted(copies) == sorted(f"{name}-cranfield" for name in copied)
    assert {recipe.stages[name].collection for name in copies} == {"cranfield"}
    assert {recipe.stages[name].kind for name in copies} == {"mine", "score", "index", "evaluate"}
    assert all(recipe.stages[name].collection is None for name in recipe.stages if name not in copies)
    assert list(recipe.stages)[-1] == "report"
    assert set(told(recipe, "report")["reads"]) == set(recipe.stages) - {"report"}


def test_copies_read_copies_and_keep_the_models(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, TRANSFER))
    evaluate = told(recipe, "evaluate-cranfield")
    assert evaluate["splits"] == "evaluation"
    assert evaluate["systems"]["student"] == {"kind": "dense", "model": "train", "index": "index-cranfield"}
    assert evaluate["systems"]["control"]["model"] == "control"
    assert evaluate["systems"]["teacher"]["candidates"] == "score-cranfield"
    assert evaluate["systems"]["bm25"]["candidates"] == "bm25-cranfield"
    assert told(recipe, "index-cranfield")["model"] == "train"
    score = told(recipe, "score-cranfield")
    assert (score["candidates"], score["teachers"]) == ("mine-cranfield", told(recipe, "score")["teachers"])
    assert told(recipe, "mine-cranfield") == {**told(recipe, "mine"), "collection": "cranfield", "splits": "evaluation"}


def test_a_teacher_that_is_taught_is_not_taught_again(tmp_path: Path) -> None:
    teach = "  teach: {kind: teach, candidates: mine, base: /models/base}\n"
    replaced = {"model: /models/teacher": "model: teach", "  score:\n": teach + "  score:\n"}
    recipe = load(written(tmp_path, TRANSFER, **replaced))
    assert told(recipe, "score-cranfield")["teachers"]["ce"]["model"] == "teach"
    assert not [name for name in recipe.stages if name.startswith("teach.")]


def test_without_controls_and_transfer_nothing_is_added(tmp_path: Path) -> None:
    path = written(tmp_path, **{"    controls: [bm25, zero_shot, contrastive, teacher]\n": ""})
    recipe = load(path)
    assert list(recipe.stages) == ["mine", "score", "select", "train", "index", "evaluate"]


def test_a_partner_is_trained_beside_its_student_alone(tmp_path: Path) -> None:
    """Elsewhere it is evaluated, and not published again."""
    more = "  large: {kind: partner, train: train, model: encoder}\n  large_index: {kind: index, model: large, recipe: flat}\n"
    beside = (
        "    co_train: {kind: encoder, encoder: {kind: dense, base: /models/base}, to_partner: 1.0}\n    steps: 30\n"
    )
    systems = (
        "{student: {kind: dense, model: train, index: index}, large: {kind: dense, model: large, index: large_index}}"
    )
    changes = {
        "  evaluate:\n": more + "  evaluate:\n",
        "    steps: 30\n": beside,
        "{student: {kind: dense, model: train, index: index}}": systems,
    }
    recipe = load(written(tmp_path, TRANSFER, **changes))
    assert told(recipe, "large_index-cranfield")["model"] == "large"
    assert not [name for name in recipe.stages if name.startswith("large-")]
