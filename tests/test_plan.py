"""What a run would do and why; what enters a stage's key and what does not."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from retkd import runner
from retkd import workspace as ws
from retkd.errors import RecipeError, WorkspaceError
from retkd.plan import Resolver, chosen
from retkd.recipe import load
from retkd.workspace import Workspace
from tests.tiny import tiny_collection, tiny_encoder

TEXT = """\
name: tiny
collection: {{kind: beir, path: {collection}}}
runtime: {{device: cpu, threads: 1}}
stages:
  mine: {{kind: mine, miner: {{kind: bm25, depth: 8}}, queries_per_shard: 5}}
  score: {{kind: score, candidates: mine, teachers: {{bi: {{kind: bi_encoder, model: {encoder}}}}}}}
  select: {{kind: select, candidates: score, sampler: {{kind: random, num_negatives: 3}}}}
  train:
    kind: train
    candidates: select
    student: {{kind: dense, base: {encoder}, layers: [0]}}
    objective: [{{kind: kl, teacher: bi}}]
    steps: 1
  index: {{kind: index, model: train, recipe: flat}}
"""
NAMES = ["mine", "score", "select", "train", "index"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(recipe, workspace) of a run that is done."""
    root = tmp_path_factory.mktemp("plan")
    encoder, collection = tiny_encoder(root / "encoder"), tiny_collection(root / "collection")
    path = root / "tiny.yaml"
    path.write_text(TEXT.format(encoder=encoder, collection=collection))
    runner.run(load(path), Workspace(root / "runs"))
    return path, root / "runs"


@pytest.fixture
def space(finished: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of that workspace, to be harmed."""
    return Path(shutil.copytree(finished[1], tmp_path / "runs"))


def told(path: Path, workspace: Path, *overrides: str) -> dict[str, tuple[str, str]]:
    """Stage -> (action, why)."""
    return {step.name: (step.action, step.why) for step in runner.plan(load(path, overrides), Workspace(workspace))}


def keys(path: Path, workspace: Path, *overrides: str, text: str | None = None) -> dict[str, str]:
    """Stage -> key, of the stages whose inputs stand."""
    if text is not None:
        path = path.with_name("changed.yaml")
        path.write_text(text)
    steps = runner.plan(load(path, overrides), Workspace(workspace))
    return {step.name: step.key for step in steps if step.told is not None}


STANDS = ("skip", "stands")


def test_before_anything_ran(finished: tuple[Path, Path], tmp_path: Path) -> None:
    assert told(finished[0], tmp_path / "new") == {
        "mine": ("run", "never ran"),
        "score": ("run", "after mine"),
        "select": ("run", "after score"),
        "train": ("run", "after select"),
        "index": ("run", "after train"),
    }


def test_after_a_run_everything_stands_and_planning_writes_no_artifact(finished: tuple[Path, Path]) -> None:
    before = sorted(finished[1].glob("artifacts/**/*"))
    assert told(*finished) == dict.fromkeys(NAMES, STANDS)
    assert sorted(finished[1].glob("artifacts/**/*")) == before


@pytest.mark.parametrize(
    ("setting", "stage", "why"),
    [
        ("stages.mine.miner.depth=9", "mine", "params.miner.depth 8 -> 9"),
        ("stages.train.objective.0.teacher_temperature=2.0", "train", "params.objective[0].teacher_temperature 1.0 -> 2.0"),
        ("stages.select.seed=99", "select", "seed 13 -> 99"),
        ("stages.train.student.layers=[1]", "train", "params.student.layers[0] 0 -> 1"),
    ],
)  # fmt: skip
def test_a_change_is_told_by_its_field_and_reaches_only_what_follows(
    finished: tuple[Path, Path], setting: str, stage: str, why: str
) -> None:
    found = told(*finished, setting)
    at = NAMES.index(stage)
    assert {name: found[name] for name in NAMES[:at]} == dict.fromkeys(NAMES[:at], STANDS)
    assert found[stage] == ("run", why)
    for before, after in zip(NAMES[at:], NAMES[at + 1 :], strict=False):
        assert found[after] == ("run", f"after {before}")


def test_a_change_of_the_seed_reruns_what_draws_at_random(finished: tuple[Path, Path]) -> None:
    found = told(*finished, "seed=14")
    assert (found["mine"], found["score"]) == (STANDS, STANDS)
    assert found["select"] == ("run", "seed 13 -> 14")


def test_an_attempt_that_was_cut_short_is_resumed(finished: tuple[Path, Path], space: Path) -> None:
    artifact = next(space.glob("artifacts/score-*"))
    (artifact / "manifest.json").unlink()
    assert told(finished[0], space)["score"] == ("resume", "an earlier run was cut short here")


def test_an_attempt_that_another_process_works_on_is_told(finished: tuple[Path, Path], space: Path) -> None:
    artifact = next(space.glob("artifacts/score-*"))
    (artifact / "manifest.json").unlink()
    with ws.locked(artifact):
        assert told(finished[0], space)["score"] == ("resume", "another process is at work here")


def test_a_run_does_not_take_the_work_of_another_process_for_a_run_that_was_cut_short(
    finished: tuple[Path, Path], space: Path
) -> None:
    artifact = next(space.glob("artifacts/score-*"))
    (artifact / "manifest.json").unlink()
    said: list[str] = []
    with ws.locked(artifact), pytest.raises(WorkspaceError, match="another process is working on this artifact"):
        runner.run(load(finished[0]), Workspace(space), on_step=lambda step: said.append(f"{step.name}: {step.why}"))
    assert said == ["mine: stands", "score: another process is at work here"]


def test_an_artifact_that_was_removed(finished: tuple[Path, Path], space: Path) -> None:
    """Its manifest is gone with it, so that there is nothing to compare with."""
    shutil.rmtree(next(space.glob("artifacts/index-*")))
    assert told(finished[0], space)["index"] == ("run", "never ran")


def test_a_damaged_artifact_is_made_anew_to_the_same_digest(finished: tuple[Path, Path], space: Path) -> None:
    """A shard of another size is never taken for a finished one."""
    artifact = next(space.glob("artifacts/mine-*"))
    before = ws.manifest(artifact)
    part = sorted(artifact.glob("train/*.parquet"))[1]
    part.write_bytes(part.read_bytes()[:-10])
    why = ("run", "outputs are missing or have another size than the manifest says")
    assert told(finished[0], space)["mine"] == why
    runner.run(load(finished[0]), Workspace(space), ["mine"])
    after = ws.manifest(artifact)
    assert before is not None
    assert after is not None
    assert after["digest"] == before["digest"]
    assert ws.damage(artifact) == []
    assert told(finished[0], space) == dict.fromkeys(NAMES, STANDS)


def test_what_cannot_change_the_result_is_in_no_key(finished: tuple[Path, Path]) -> None:
    known = keys(*finished)
    assert list(known) == NAMES
    for setting in ("runtime.threads=2", "runtime.workers=3", "runtime.memory_mib=64", "name=other", "expected=[]"):
        assert keys(*finished, setting) == known


def test_a_stages_name_and_the_places_of_files_are_in_no_key(finished: tuple[Path, Path], tmp_path: Path) -> None:
    text = finished[0].read_text()
    root = finished[0].parent
    renamed = text.replace("candidates: mine", "candidates: bm25_lists").replace("  mine:", "  bm25_lists:")
    known, found = keys(*finished), keys(*finished, text=renamed)
    assert found["bm25_lists"] == known["mine"]
    assert [found[name] for name in NAMES[1:]] == [known[name] for name in NAMES[1:]]
    shutil.copytree(root / "encoder", tmp_path / "encoder elsewhere")
    shutil.copytree(root / "collection", tmp_path / "collection elsewhere")
    moved = text.replace(str(root / "encoder"), f"'{tmp_path}/encoder elsewhere'")
    moved = moved.replace(str(root / "collection"), f"'{tmp_path}/collection elsewhere'")
    assert keys(*finished, text=moved) == known


def test_the_content_of_models_and_collections_is_in_the_key(finished: tuple[Path, Path], tmp_path: Path) -> None:
    text, root = finished[0].read_text(), finished[0].parent
    known = keys(*finished)
    other = text.replace(str(root / "encoder"), str(tiny_encoder(tmp_path / "other", seed=1)))
    found = keys(*finished, text=other)
    assert found["mine"] == known["mine"]
    assert found["score"] != known["score"]
    other = text.replace(str(root / "collection"), str(tiny_collection(tmp_path / "collection", seed=1)))
    assert keys(*finished, text=other)["mine"] != known["mine"]
    assert keys(*finished, "collection.sample.train=5")["mine"] != known["mine"]


def test_a_stage_whose_inputs_do_not_stand_says_what_to_run(finished: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError) as error:
        runner.run(load(finished[0]), Workspace(tmp_path / "new"), ["select"])
    assert str(error.value) == (
        "the stage 'select' cannot run: a stage that it reads does not stand\n"
        "  where: recipe tiny\n"
        "  seen: score not run, or stale\n"
        "  next step: retkd run RECIPE --until select"
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, NAMES),
        ({"until": "select"}, ["mine", "score", "select"]),
        ({"from_": "select"}, ["select", "train", "index"]),
        ({"from_": "score", "until": "train"}, ["score", "select", "train"]),
        ({"only": "train"}, ["train"]),
    ],
)
def test_which_stages_are_chosen(finished: tuple[Path, Path], given: dict[str, Any], expected: list[str]) -> None:
    assert chosen(load(finished[0]), **given) == expected


def test_a_kind_chooses_all_its_stages_and_a_name_one(finished: tuple[Path, Path]) -> None:
    recipe = load(finished[0], ["stages.more={kind: mine, miner: {kind: bm25}, splits: [dev]}"])
    assert chosen(recipe, only="mine") == ["mine", "more"]
    assert chosen(recipe, only="more") == ["more"]


def test_a_selection_that_ends_before_it_begins_is_refused(finished: tuple[Path, Path]) -> None:
    with pytest.raises(RecipeError, match="nothing is selected: mine is before train") as told:
        chosen(load(finished[0]), until="mine", from_="train")
    assert told.value.exit_code == 2
    assert "--from mine --until train" in str(told.value)
    assert chosen(load(finished[0]), until="train", from_="train") == ["train"]


@pytest.mark.parametrize(
    ("given", "what", "step"),
    [
        ({"until": "selct"}, "the recipe has no stage 'selct'", "did you mean 'select'?"),
        ({"from_": "trian"}, "the recipe has no stage 'trian'", "did you mean 'train'?"),
        ({"only": "idx"}, "no stage is named or of kind 'idx'", "did you mean 'index'?"),
    ],
)
def test_a_stage_that_is_none(finished: tuple[Path, Path], given: dict[str, Any], what: str, step: str) -> None:
    with pytest.raises(RecipeError) as error:
        chosen(load(finished[0]), **given)
    (name,) = given.values()
    assert str(error.value) == f"{what}\n  seen: {name}\n  next step: {step}"


@pytest.mark.parametrize(
    ("setting", "passed_over"), [("stages.mine.splits=all", ["validation"]), ("stages.mine.splits=[validation]", [])]
)
def test_a_split_that_no_stage_reads_is_told(
    finished: tuple[Path, Path], tmp_path: Path, setting: str, passed_over: list[str]
) -> None:
    """``train.de`` is a split's queries in another language."""
    splits = "{train: train, validation: dev, train.de: train}"
    recipe = load(finished[0], [f"collection.qrels={splits}", setting])
    assert Resolver(recipe, Workspace(tmp_path)).passed_over(NAMES) == passed_over


def test_one_stage_alone_has_neither_beginning_nor_end(finished: tuple[Path, Path]) -> None:
    with pytest.raises(RecipeError, match="--only goes without --until and --from"):
        chosen(load(finished[0]), only="mine", until="train")
