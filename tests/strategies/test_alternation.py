"""Alternation: cycles of bi-encoder and cross-encoder as stages, and the whole of it at tiny size."""

import json
from pathlib import Path
from typing import Any

import pytest

from retkd.errors import RecipeError
from retkd.recipe import Recipe, load
from tests.conftest import files
from tests.tiny import tiny_collection, tiny_encoder

TEXT = """\
name: tiny
seed: 7
collection: {{kind: beir, path: {collection}}}
runtime: {{device: cpu, threads: 1}}
stages:
  mine: {{kind: mine, miner: {{kind: bm25, depth: 6}}}}
  base:
    kind: train
    candidates: mine
    student: {{kind: dense, base: {encoder}, layers: [1]}}
    objective: [{{kind: infonce}}]
    steps: 0
  bi_scores: {{kind: score, candidates: mine, teachers: {{bi: {{kind: bi_encoder, model: base}}}}}}
  teach:
    kind: teach
    candidates: bi_scores
    base: {encoder}
    unlabelled: keep
    objective: [{{kind: kl, teacher: bi, teacher_temperature: 0.05, student_temperature: 1.0}}]
    steps: 3
    batch_queries: 4
    max_length: 64
  cross_scores: {{kind: score, candidates: mine, teachers: {{cross: {{kind: cross_encoder, model: teach, max_length: 64}}}}}}
  train:
    kind: train
    candidates: cross_scores
    student: {{kind: dense, base: {encoder}, layers: [1]}}
    objective: [{{kind: kl, teacher: cross}}]
    steps: 3
    batch_queries: 4
    learning_rate: 1.0e-3
  index: {{kind: index, model: train, recipe: flat}}
alternate: {{cycles: 3, students: {{base: train}}}}
"""

MUTUAL = {
    "stages.base2": "{kind: train, candidates: mine, student: {kind: dense, base: ENCODER, layers: [1]}, "
    "objective: [{kind: infonce}], steps: 0}",
    "stages.bi_scores.teachers": "{one: {kind: bi_encoder, model: base}, two: {kind: bi_encoder, model: base2}, "
    "bi: {kind: ensemble, members: [one, two], calibration: {kind: raw, of: cosine}}}",
    "stages.teach2": "{kind: teach, candidates: bi_scores, base: ENCODER, unlabelled: keep, objective: [{kind: kl, "
    "teacher: bi, teacher_temperature: 0.05, student_temperature: 1.0}], steps: 3, batch_queries: 4, max_length: 64}",
    "stages.cross_scores.teachers": "{one: {kind: cross_encoder, model: teach, max_length: 64}, "
    "two: {kind: cross_encoder, model: teach2, max_length: 64}, "
    "cross: {kind: ensemble, members: [one, two], calibration: {kind: raw, of: logit}}}",
    "stages.train2": "{kind: train, candidates: cross_scores, student: {kind: dense, base: ENCODER, layers: [1]}, "
    "objective: [{kind: kl, teacher: cross}], steps: 3, batch_queries: 4, learning_rate: 1.0e-3}",
    "alternate.students": "{base: train, base2: train2}",
}


def told(recipe: Recipe, name: str) -> dict[str, Any]:
    return recipe.stages[name].model_dump(mode="json")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alternation")
    encoder, collection = tiny_encoder(folder / "encoder"), tiny_collection(folder / "collection")
    (folder / "tiny.yaml").write_text(TEXT.format(encoder=encoder, collection=collection))
    return folder / "tiny.yaml"


def mutual(path: Path) -> list[str]:
    return [f"{key}={value}".replace("ENCODER", str(path.parent / "encoder")) for key, value in MUTUAL.items()]


def test_the_stages_between_the_model_and_the_student_are_repeated(path: Path) -> None:
    recipe = load(path)
    assert list(recipe.stages) == [
        *("mine", "base"),
        *("bi_scores", "teach", "cross_scores", "train_cycle1"),
        *("bi_scores_cycle2", "teach_cycle2", "cross_scores_cycle2", "train_cycle2"),
        *("bi_scores_cycle3", "teach_cycle3", "cross_scores_cycle3", "train_cycle3"),
        *("train", "index"),
    ]
    for number, student in ((2, "train_cycle1"), (3, "train_cycle2")):
        assert told(recipe, f"bi_scores_cycle{number}")["teachers"]["bi"]["model"] == student
        assert told(recipe, f"bi_scores_cycle{number}")["candidates"] == "mine"
        assert told(recipe, f"teach_cycle{number}") == {
            **told(recipe, "teach"),
            "candidates": f"bi_scores_cycle{number}",
        }
        assert told(recipe, f"cross_scores_cycle{number}")["teachers"]["cross"]["model"] == f"teach_cycle{number}"
        assert told(recipe, f"train_cycle{number}") == {
            **told(recipe, "train_cycle1"),
            "candidates": f"cross_scores_cycle{number}",
        }
    assert recipe.alternate is None


def test_the_best_cycle_on_dev_is_published_or_the_last(path: Path) -> None:
    choice = told(load(path), "train")
    assert (choice["kind"], choice["models"]) == ("choose", ["train_cycle1", "train_cycle2", "train_cycle3"])
    assert choice["candidates"] == "cross_scores"
    last = load(path, ["alternate.keep=last"])
    assert (told(last, "train")["kind"], told(last, "train")["candidates"]) == ("train", "cross_scores_cycle3")
    assert "train_cycle3" not in last.stages
    assert told(load(path, ["alternate.cycles=1"]), "train")["kind"] == "train"


def test_trainings_may_go_on_from_the_cycle_before(path: Path) -> None:
    recipe = load(path, ["alternate.start=previous"])
    assert told(recipe, "teach_cycle3")["base"] == "teach_cycle2"
    student = told(recipe, "train_cycle3")["student"]
    assert (student["base"], student["layers"]) == ("train_cycle2", None)
    assert told(recipe, "train_cycle1")["student"]["layers"] == [1]


def test_a_table_that_the_model_mined_is_mined_again(path: Path) -> None:
    miner = "stages.mined={kind: mine, miner: {kind: dense, depth: 5, model: base}}"
    recipe = load(path, [miner, "stages.bi_scores.candidates=mined", "stages.cross_scores.candidates=mined"])
    assert told(recipe, "mined_cycle2")["miner"]["model"] == "train_cycle1"
    assert told(recipe, "cross_scores_cycle2")["candidates"] == "mined_cycle2"


def test_several_students_take_each_others_place(path: Path) -> None:
    recipe = load(path, mutual(path))
    teachers = told(recipe, "bi_scores_cycle2")["teachers"]
    assert (teachers["one"]["model"], teachers["two"]["model"]) == ("train_cycle1", "train2_cycle1")
    crosses = told(recipe, "cross_scores_cycle3")["teachers"]
    assert (crosses["one"]["model"], crosses["two"]["model"]) == ("teach_cycle3", "teach2_cycle3")
    assert told(recipe, "train2")["models"] == ["train2_cycle1", "train2_cycle2", "train2_cycle3"]


def test_what_an_alternation_refuses(path: Path) -> None:
    with pytest.raises(RecipeError, match="`alternate` repeats a train stage, and there is none of that name"):
        load(path, ["alternate.students={base: trian}"])
    with pytest.raises(RecipeError) as error:
        load(path, ["alternate.students={/models/none: train}"])
    assert str(error.value) == (
        "`alternate` repeats the stages between a model and a train stage, and nothing leads from one to the other\n"
        "  where: alternate.students./models/none\n"
        "  seen: train reads no stage that reads /models/none\n"
        "  allowed: a train stage that learns from a teacher that learned from this model\n"
        "  next step: score the lists with the model, teach on these scores, score with what was taught, and train on that"
    )


def run(path: Path, workspace: Path, overrides: list[str], until: str | None = "train") -> dict[str, Path]:
    from retkd import runner
    from retkd.plan import chosen
    from retkd.workspace import Workspace

    recipe, at = load(path, overrides), Workspace(workspace)
    runner.run(recipe, at, chosen(recipe, until=until))
    return {name: at.root / "artifacts" / folder for name, folder in at.stages(recipe.name).items()}


def test_no_cycle_gives_the_base_unchanged(path: Path, tmp_path: Path) -> None:
    artifacts = run(path, tmp_path / "runs", ["alternate.cycles=0"])
    assert set(artifacts) == {"mine", "base", "train"}
    assert files(artifacts["train"] / "model") == files(artifacts["base"] / "model")


def test_mutual_with_identical_models_equals_self(path: Path, tmp_path: Path) -> None:
    """Two cycles of each: the students have the same bytes, and so have both of the mutual one."""
    alone = run(path, tmp_path / "runs", ["alternate.cycles=2"])
    both = run(path, tmp_path / "runs", [*mutual(path), "alternate.cycles=2", "name=mutual"])
    for number in (1, 2):
        expected = files(alone[f"train_cycle{number}"] / "model")
        assert files(both[f"train_cycle{number}"] / "model") == expected
    assert files(both["train_cycle1"] / "model") != files(both["train_cycle2"] / "model")
    choice = json.loads((alone["train"] / "manifest.json").read_text())["metrics"]
    tried = {name: each["nDCG@10"] for name, each in choice["tried"].items()}
    assert choice["chosen"] == max(tried, key=lambda name: tried[name])
    assert files(alone["train"] / "model") == files(alone[choice["chosen"]] / "model")


def test_the_best_cycle_is_evaluated_exported_and_reported(path: Path, tmp_path: Path) -> None:
    """The card tells the training of the student that was chosen."""
    evaluation = (
        "stages.evaluate={kind: evaluate, splits: evaluation, depth: 20, measures: [nDCG@10], num_resamples: 200, "
        "systems: {student: {kind: dense, model: train, index: index}}, controls: [bm25, zero_shot]}"
    )
    stages = [
        evaluation,
        "stages.export={kind: export, model: train}",
        "stages.report={kind: report, evaluation: evaluate}",
    ]
    artifacts = run(path, tmp_path / "runs", [*stages, "alternate.cycles=2"], until=None)
    card = (artifacts["report"] / "model_card.md").read_text()
    assert "`kl`" in card
    assert str(path.parent / "encoder") in card
    assert "train_cycle1" in (artifacts["report"] / "report.html").read_text()
    assert (tmp_path / "runs" / "tiny" / "exports" / "export" / "sentence_transformers").is_dir()
