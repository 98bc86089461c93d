"""Ensembles, sparse targets and imported scores as a recipe has them: the whole chain on the tiny collection."""

import json
from pathlib import Path

import pytest

from retkd import candidates, runner
from retkd.recipe import load
from retkd.workspace import Workspace
from tests.tiny_recipe import tiny_recipe

SPARSE = [
    "stages.score.teachers.both={kind: ensemble, members: [ce, base], weights: {kind: by_dev}, calibration: {kind: softmax}}",
    "stages.sparse={kind: sparsify, candidates: select, targets: {rs: {kind: sampled, teacher: both, num_draws: 4}}}",
    "stages.train.candidates=sparse",
    "stages.train.objective=[{kind: soft_ce, teacher: rs}, {kind: infonce, weight: 0.1}]",
    "stages.train.steps=4",
    "stages.teach.steps=2",
]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Workspace, Path]:
    """Recipe, workspace and the score artifact of a run up to the student."""
    recipe = tiny_recipe(tmp_path_factory.mktemp("committee"))
    space = Workspace(tmp_path_factory.mktemp("workspace"))
    loaded = load(recipe, SPARSE)
    from retkd.plan import chosen

    runner.run(loaded, space, chosen(loaded, until="train"))
    return recipe, space, space.root / "artifacts" / space.stages("tiny")["score"]


def test_the_student_learns_from_draws_of_a_committee(ran: tuple[Path, Workspace, Path]) -> None:
    _, space, score = ran
    told = json.loads((score / "manifest.json").read_text())["metrics"]["both"]
    assert told["scale"] == "log_probability"
    assert sum(told["weights"].values()) == pytest.approx(1.0, abs=1e-5)
    assert set(told["dev nDCG@10"]) == {"ce", "base"}
    rows = candidates.read(space.root / "artifacts" / space.stages("tiny")["sparse"] / "train")
    for _, start, stop in candidates.groups(rows):
        assert sum(rows["teacher.rs"].slice(start, stop - start).to_pylist()) == pytest.approx(1.0)
    trained = json.loads((space.root / "artifacts" / space.stages("tiny")["train"] / "manifest.json").read_text())
    assert trained["metrics"]["queries"] == len(rows["query_id"].unique())


def test_what_a_file_holds_is_in_the_key_of_the_stage_that_imports_it(
    ran: tuple[Path, Workspace, Path], tmp_path: Path
) -> None:
    from retkd.exchange import copy_candidates
    from retkd.plan import chosen

    recipe, space, score = ran
    file = tmp_path / "scores.jsonl"
    copy_candidates(str(score), file, "flagembedding", space.root, recipe="tiny", teacher="ce")
    them = f"{{kind: imported, file: {file}, format: flagembedding, scale: logit, splits: [train]}}"
    imported = f"stages.score.teachers.them={them}"
    loaded = load(recipe, [*SPARSE, imported, "stages.mine.add_positives=[train]"])
    runner.run(loaded, space, chosen(loaded, until="score"))
    rows = candidates.read(space.root / "artifacts" / space.stages("tiny")["score"] / "train")
    assert rows["teacher.them"].equals(rows["teacher.ce"])
    assert [step.action for step in runner.plan(loaded, space, ["score"])] == ["skip"]
    file.write_text(file.read_text() + "\n")
    (step,) = runner.plan(loaded, space, ["score"])
    assert step.action == "run"
    assert "teachers.them.file" in step.why
