"""Rounds: shorthand that becomes stages, and the whole of it at tiny size."""

import json
from pathlib import Path
from typing import Any

import pytest

from retkd.errors import RecipeError
from retkd.recipe import Recipe, load
from tests.recipes import TEXT, written
from tests.tiny_recipe import tiny_recipe

ROUNDS = TEXT + "rounds: {count: 3}\n"


def told(recipe: Recipe, name: str) -> dict[str, Any]:
    return recipe.stages[name].model_dump(mode="json")


@pytest.fixture
def whole(tmp_path: Path) -> Recipe:
    return load(written(tmp_path, ROUNDS))


def test_rounds_become_stages_in_their_order_and_the_last_keeps_its_name(whole: Recipe) -> None:
    first = ["mine", "score", "select", "train_round1"]
    second = ["mine_round2", "score_round2", "select_round2", "train_round2"]
    third = ["mine_round3", "score_round3", "select_round3", "train"]
    assert list(whole.stages)[:12] == [*first, *second, *third]
    assert told(whole, "index")["model"] == "train"
    assert told(whole, "evaluate")["systems"]["student"]["model"] == "train"
    assert whole.rounds is None


def test_each_round_mines_with_the_student_before_and_reads_its_own_tables(whole: Recipe) -> None:
    for number, student in ((2, "train_round1"), (3, "train_round2")):
        mine = told(whole, f"mine_round{number}")
        assert (mine["miner"]["kind"], mine["miner"]["model"], mine["miner"]["depth"]) == ("dense", student, 50)
        assert mine["splits"] == ["train"]
        assert told(whole, f"score_round{number}")["candidates"] == f"mine_round{number}"
        assert told(whole, f"score_round{number}")["teachers"] == told(whole, "score")["teachers"]
        assert told(whole, f"select_round{number}")["candidates"] == f"score_round{number}"
    assert [told(whole, name)["candidates"] for name in ("train_round1", "train_round2", "train")] == [
        "select",
        "select_round2",
        "select_round3",
    ]


def test_students_go_on_from_each_other_or_begin_anew(whole: Recipe, tmp_path: Path) -> None:
    """The first takes two layers out of its base; those after it have these two already."""
    students = [told(whole, name)["student"] for name in ("train_round1", "train_round2", "train")]
    assert [student["base"] for student in students] == ["/models/base", "train_round1", "train_round2"]
    assert [student["layers"] for student in students] == [[0, 2], None, None]
    scratch = load(tmp_path / "recipe.yaml", ["rounds.start=scratch"])
    for name in ("train_round1", "train_round2", "train"):
        assert told(scratch, name)["student"] == students[0]


def test_what_made_a_student_smaller_is_not_done_to_it_again(tmp_path: Path) -> None:
    path = written(tmp_path, ROUNDS)
    smaller = "stages.train.student.initialisation=[{kind: factorised, rank: 64}]"
    students = [told(load(path, [smaller]), name)["student"] for name in ("train_round1", "train_round2", "train")]
    assert [len(student["initialisation"]) for student in students] == [1, 0, 0]
    pruned = "stages.train.student.adaptation={kind: prune, sparsity: 0.5}"
    with pytest.raises(RecipeError) as error:
        load(path, [pruned])
    assert str(error.value) == (
        "with `start: previous` each student goes on from the one before, and would prune what is left of it\n"
        "  where: start\n"
        "  seen: the adaptation prune\n"
        "  allowed: scratch\n"
        "  next step: set `start: scratch`, or prune in a train stage of its own and name it as `student.base`"
    )
    assert load(path, [pruned, "rounds.start=scratch"])
    assert load(path, ["stages.train.student.adaptation={kind: lora}"])


def test_the_miner_can_be_fused_with_the_first(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, ROUNDS), ["rounds.miner=fused", "stages.mine.miner.depth=30"])
    miner = told(recipe, "mine_round2")["miner"]
    assert (miner["kind"], miner["depth"]) == ("fused", 30)
    assert miner["miners"][0] == told(recipe, "mine")["miner"]
    assert (miner["miners"][1]["kind"], miner["miners"][1]["model"]) == ("dense", "train_round1")


def test_dev_is_mined_where_the_training_looks_at_it(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, ROUNDS), ["stages.train.evaluate_every=10"])
    assert told(recipe, "mine_round2")["splits"] == "all"


def test_overrides_reach_every_round_or_one(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, ROUNDS), ["stages.train.learning_rate=0.5", "stages.train_round2.steps=7"])
    names = ("train_round1", "train_round2", "train")
    assert [told(recipe, name)["learning_rate"] for name in names] == [0.5, 0.5, 0.5]
    assert [told(recipe, name)["steps"] for name in names] == [30, 7, 30]


def test_controls_are_those_of_the_written_student(whole: Recipe, tmp_path: Path) -> None:
    """The base that was written, the first lists, and as many steps as all three rounds; from scratch as many as one."""
    control, zero_shot = told(whole, "control"), told(whole, "zero_shot")
    assert control["student"] == zero_shot["student"] == told(whole, "train_round1")["student"]
    assert (control["candidates"], control["steps"], zero_shot["steps"]) == ("select", 90, 0)
    assert told(load(tmp_path / "recipe.yaml", ["rounds.start=scratch"]), "control")["steps"] == 30


def test_a_train_stage_that_is_not_there_and_a_name_that_is_taken(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as error:
        load(written(tmp_path, ROUNDS), ["rounds.train=trian"])
    assert str(error.value) == (
        "`rounds` repeats a train stage, and there is none of that name\n"
        "  where: rounds.train\n"
        "  seen: trian\n"
        "  allowed: train\n"
        "  next step: did you mean 'train'?"
    )
    taken = "  score_round2: {kind: index, model: /models/base, recipe: flat}\n  index:\n"
    with pytest.raises(RecipeError, match="has a stage of a name that `rounds` gives to one of its own"):
        load(written(tmp_path, ROUNDS, **{"  index:\n": taken}))


def test_two_rounds_from_end_to_end(tmp_path: Path) -> None:
    """The second round's lists come from the first student, and only pairs that are new are scored."""
    from retkd import candidates, runner
    from retkd.plan import chosen
    from retkd.workspace import Workspace

    told_steps = ["stages.teach.steps=2", "stages.train.steps=4", "stages.train.evaluate_every=null"]
    recipe = load(tiny_recipe(tmp_path), [*told_steps, "stages.train.keep=last", "rounds.count=2"])
    workspace = Workspace(tmp_path / "runs")
    runner.run(recipe, workspace, chosen(recipe, until="train"))
    artifacts = {name: workspace.root / "artifacts" / folder for name, folder in workspace.stages(recipe.name).items()}
    manifests = {name: json.loads((folder / "manifest.json").read_text()) for name, folder in artifacts.items()}
    assert set(candidates.read(artifacts["mine_round2"] / "train")["source"].to_pylist()) <= {"dense", "qrels"}
    assert candidates.splits(artifacts["mine_round2"]) == ["train"]
    second = manifests["score_round2"]
    assert 0 < second["timings"]["ce_new_pairs"] < second["rows"]["in"]
    student = f"stage:{manifests['train_round1']['digest']}"
    assert manifests["mine_round2"]["key_inputs"]["params"]["miner"]["model"] == student
    assert manifests["train"]["key_inputs"]["params"]["student"]["base"] == student
    assert (artifacts["train"] / "model" / "model.safetensors").exists()
    assert {step.action for step in runner.plan(recipe, workspace, list(artifacts))} == {"skip"}


ERRORS = TEXT + "rounds: {count: 3, errors: {teacher: ce, share: 0.4, times: 3, at_least: 0.5}}\n"


def test_errors_of_the_student_before_are_seen_more_often(tmp_path: Path) -> None:
    """Round 1 is the one-shot training; later ones score their lists with the student before, and go by what it gets wrong."""
    recipe = load(written(tmp_path, ERRORS))
    plain = load(tmp_path / "recipe.yaml", ["rounds.errors=null"])
    assert told(recipe, "train_round1") == told(plain, "train_round1")
    assert told(recipe, "select") == told(plain, "select")
    for number, student, before in ((2, "train_round1", None), (3, "train_round2", "select_round2")):
        assert told(recipe, f"mine_round{number}")["splits"] == ["train"]
        teachers = told(recipe, f"score_round{number}")["teachers"]
        assert list(teachers) == ["ce", "student"]
        assert (teachers["student"]["kind"], teachers["student"]["model"]) == ("bi_encoder", student)
        repeats = told(recipe, f"select_round{number}")["repeats"]
        assert {key: repeats[key] for key in ("teacher", "student", "share", "times", "at_least", "before")} == {
            "teacher": "ce",
            "student": "student",
            "share": 0.4,
            "times": 3,
            "at_least": 0.5,
            "before": before,
        }
        name = "train" if number == 3 else f"train_round{number}"
        assert told(recipe, name)["batches"] == {
            "kind": "oversampled",
            "repeats": f"select_round{number}",
            "stop": True,
        }
    for override in ("rounds.start=scratch", "rounds.errors.at_least=null"):
        other = load(tmp_path / "recipe.yaml", [override])
        assert told(other, "train")["batches"]["stop"] is False
    assert (
        told(load(tmp_path / "recipe.yaml", ["rounds.errors.at_least=null"]), "select_round3")["repeats"]["before"]
        is None
    )


@pytest.mark.parametrize("kind", ["sparse", "late_interaction"])
def test_a_student_of_another_kind_mines_and_tells_its_errors_by_its_own_scores(tmp_path: Path, kind: str) -> None:
    text = ERRORS[: ERRORS.index("  index:")] + ERRORS[ERRORS.index("rounds:") :]
    other = {"{kind: dense, base: /models/base, layers: [0, 2]}": f"{{kind: {kind}, base: /models/base}}"}
    recipe = load(written(tmp_path, text, **other))
    student = told(recipe, "score_round2")["teachers"]["student"]
    assert (student["kind"], student["model"]) == (kind, "train_round1")
    miner = told(recipe, "mine_round2")["miner"]
    assert (miner["kind"], miner["model"]) == (kind, "train_round1")


def test_errors_need_a_score_and_a_select_stage_and_a_free_column(tmp_path: Path) -> None:
    path = written(tmp_path, ERRORS)
    with pytest.raises(
        RecipeError, match=r"`rounds.errors` needs a stage of kind select .*\n.*\n  seen: score <- mine\n"
    ):
        load(path, ["stages.train.candidates=score"])
    with pytest.raises(RecipeError, match="writes the column 'student', and the recipe has a teacher of that name"):
        load(path, ["stages.score.teachers.student={kind: bi_encoder, model: /models/base}"])


def test_two_rounds_with_errors_from_end_to_end(tmp_path: Path) -> None:
    """The second round scores its lists with the first student, and repeats half of the queries at most."""
    from retkd import candidates, runner
    from retkd.plan import chosen
    from retkd.training.query_order import REPEATS, num_errors_of
    from retkd.workspace import Workspace

    steps = [
        "stages.teach.steps=1",
        "stages.train.steps=3",
        "stages.train.evaluate_every=null",
        "stages.train.keep=last",
    ]
    errors = "rounds={count: 2, errors: {teacher: base, share: 0.5, top: 10, times: 3}}"
    recipe, workspace = load(tiny_recipe(tmp_path), [*steps, errors]), Workspace(tmp_path / "runs")
    runner.run(recipe, workspace, chosen(recipe, until="train"))
    artifacts = {name: workspace.root / "artifacts" / folder for name, folder in workspace.stages(recipe.name).items()}
    assert candidates.scale_of(candidates.read(artifacts["score_round2"] / "train"), "student") == "cosine"
    told_metrics = json.loads((artifacts["select_round2"] / "manifest.json").read_text())["metrics"]["repeats"]
    assert 0 < told_metrics["repeated"] <= told_metrics["of_queries"] / 2
    assert num_errors_of(artifacts["select_round2"]) == told_metrics["errors"] >= told_metrics["repeated"]
    assert not (artifacts["select"] / REPEATS).exists()
