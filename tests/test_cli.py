"""The commands as a person types them, on the tiny recipe."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from retkd import cli
from retkd.recipes import located
from tests.tiny_recipe import tiny_recipe

Retkd = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny recipe."""
    return tiny_recipe(tmp_path_factory.mktemp("cli"))


@pytest.fixture
def retkd(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Retkd:
    """Call the command line: (exit code, standard output, standard error)."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["retkd", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture(scope="module")
def workspace(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the tiny recipe has run."""
    from retkd import runner
    from retkd.recipe import load
    from retkd.workspace import Workspace

    folder = tmp_path_factory.mktemp("workspace")
    assert runner.run(load(recipe), Workspace(folder))["complete"]
    return folder


def test_a_run_leaves_summary_report_exports_and_what_to_ask(workspace: Path) -> None:
    told = json.loads((workspace / "tiny" / "summary.json").read_text())
    assert set(told["splits"]["test"]) == {"bm25", "zero_shot", "control", "teacher", "student"}
    assert set(told["splits"]["test"]["student"]["nDCG@10"]) >= {"mean", "low", "high", "p_value"}
    assert set(told["gap"]) >= {"measure", "control", "student", "teacher", "closed", "p_value"}
    assert told["stages"]["train"]["wall_seconds"] > 0
    assert told["wall_seconds"] > 0.9 * sum(stage["wall_seconds"] for stage in told["stages"].values())
    assert told["stages"]["train"]["peak_memory_mib"] > 50
    exported = Path(told["exports"]["export"])
    assert (exported / "onnx" / "model.onnx").is_file()
    assert (exported / "sentence_transformers" / "README.md").read_text().startswith("---")
    assert "<table" in (workspace / "tiny" / "report.html").read_text()


def test_run_again_prints_the_table_and_skips_everything(retkd: Retkd, recipe: Path, workspace: Path) -> None:
    code, out, err = retkd("run", recipe, "--workspace", workspace)
    assert code == 0
    told = json.loads((workspace / "tiny" / "summary.json").read_text())
    assert told["wall_seconds"] < sum(stage["wall_seconds"] for stage in told["stages"].values())
    assert "distilled student" in out
    assert "contrastive control" in out
    assert "] train: skip" in err
    assert ": run" not in err


def test_a_run_without_an_evaluation_leaves_the_summary_of_the_last_one(
    retkd: Retkd, recipe: Path, workspace: Path, tmp_path: Path
) -> None:
    own = shutil.copytree(workspace, tmp_path / "own")
    before = (own / "tiny" / "summary.json").read_bytes()
    changed = ("run", recipe, "--workspace", own, "--set", "stages.index.recipe=hnsw")
    code, out, err = retkd(*changed, "--only", "index")
    assert code == 0
    assert (own / "tiny" / "summary.json").read_bytes() == before
    assert f"this run came to no evaluation: {own / 'tiny' / 'summary.json'} still tells the last run that did" in err
    assert [line.split()[0] for line in out.splitlines() if line] == ["export"]
    code, out, err = retkd(*changed, "--only", "evaluate")
    assert code == 0
    told = json.loads((own / "tiny" / "summary.json").read_text())
    assert (told["complete"], list(told["splits"]), told["report"]) == (False, ["dev", "test"], None)
    assert "no evaluation" not in err
    assert [line.split()[0] for line in out.splitlines()[-3:]] == ["summary", "export", "ask"]


def test_status_names_the_field_that_changed(retkd: Retkd, recipe: Path, workspace: Path) -> None:
    code, out, _ = retkd(
        "status", recipe, "--workspace", workspace, "--set", "stages.train.objective.0.student_temperature=0.1"
    )
    rows = {line.split()[0]: line.split()[2] for line in out.splitlines()[1:] if line and not line.startswith(" ")}
    assert code == 0
    assert "params.objective[0].student_temperature 0.05 -> 0.1" in out
    assert {rows[name] for name in ("train", "index", "evaluate", "export", "report")} == {"run"}
    before = ("mine", "teach", "score", "select", "bm25", "zero_shot", "zero_shot_index", "control", "control_index")
    assert {rows[name] for name in before} == {"skip"}


def test_dry_run_runs_nothing(retkd: Retkd, recipe: Path, tmp_path: Path) -> None:
    code, out, _ = retkd("run", recipe, "--workspace", tmp_path, "--dry-run")
    assert code == 0
    assert "never ran" in out
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize("name", ["file", "file/below", "/proc/none"])
def test_a_workspace_that_cannot_be(retkd: Retkd, recipe: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("words")
    for words in (("run", recipe), ("run", recipe, "--dry-run"), ("status", recipe), ("verify", recipe)):
        code, _, err = retkd(*words, "--workspace", tmp_path / name)
        assert code == 1
        assert f"no workspace can be kept here\n  where: {tmp_path / name}\n  seen: " in err
        assert "next step: give another one: --workspace FOLDER" in err


def test_a_copy_of_what_is_no_utf8(retkd: Retkd, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_bytes("name: own\n".encode("utf-16"))
    code, _, err = retkd("cp", tmp_path / "own.yaml", tmp_path / "copy.yaml")
    assert (code, (tmp_path / "copy.yaml").exists()) == (2, False)
    assert "the recipe is not UTF-8" in err


def test_an_alias_runs_its_kind_alone_and_needs_what_it_reads(retkd: Retkd, recipe: Path, tmp_path: Path) -> None:
    code, _, err = retkd("score", recipe, "--workspace", tmp_path)
    assert code == 1
    assert "the stage 'score' cannot run: a stage that it reads does not stand" in err
    assert "retkd run RECIPE --until score" in err
    code, _, err = retkd("mine", recipe, "--workspace", tmp_path)
    assert code == 0
    assert {path.name.split("-")[0] for path in (tmp_path / "artifacts").glob("*-*") if path.is_dir()} == {"mine"}


def test_until_stops_there(retkd: Retkd, recipe: Path, tmp_path: Path) -> None:
    code, _, _ = retkd("run", recipe, "--workspace", tmp_path, "--until", "select", "--set", "stages.teach.steps=2")
    assert code == 0
    assert not json.loads((tmp_path / "tiny" / "summary.json").read_text())["complete"]
    assert not list((tmp_path / "artifacts").glob("train-*"))


def test_expected_numbers_are_no_failure_before_the_evaluation(retkd: Retkd, recipe: Path, tmp_path: Path) -> None:
    sets = ("--set", "expected=[{measure: nDCG@10, value: 0.5}, {system: bm25, measure: nDCG@10, value: 0.5}]")
    code, out, _ = retkd("run", recipe, "--workspace", tmp_path, "--until", "mine", *sets)
    assert code == 0
    assert "expected numbers whose evaluation is still to come: 2" in out
    assert "fail" not in out
    told = json.loads((tmp_path / "tiny" / "summary.json").read_text())["expected"]
    assert [line["outcome"] for line in told] == ["not evaluated", "not evaluated"]


@pytest.mark.parametrize(
    ("expected", "code", "outcome"),
    [
        ("{measure: nDCG@10, value: 0.0, tolerance: 1.0}", 0, "within tolerance"),
        ("{measure: nDCG@10, value: 2.0, tolerance: 0.5}", 3, "fail"),
    ],
)
def test_expected_numbers(retkd: Retkd, recipe: Path, workspace: Path, expected: str, code: int, outcome: str) -> None:
    """Within tolerance, and missed."""
    found, out, _ = retkd("run", recipe, "--workspace", workspace, "--set", f"expected=[{expected}]")
    assert found == code
    assert outcome in out


def test_verify_finds_a_flipped_byte(retkd: Retkd, recipe: Path, tmp_path: Path) -> None:
    assert retkd("mine", recipe, "--workspace", tmp_path)[0] == 0
    assert retkd("verify", "--workspace", tmp_path)[0] == 0
    part = next(tmp_path.glob("artifacts/mine-*/train/*.parquet"))
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    code, out, _ = retkd("verify", "--workspace", tmp_path)
    assert code == 1
    assert "content is not what the manifest says" in out
    folder = part.parent.parent
    step = f"next step: delete {folder} and run tiny again: its stage mine is made anew"
    assert out.splitlines()[1:] == [step, "2 artifacts, 1 problems"]
    shutil.rmtree(folder)
    assert retkd("mine", recipe, "--workspace", tmp_path)[0] == 0
    assert part.read_bytes() != content
    assert retkd("verify", "--workspace", tmp_path)[0] == 0


def test_verify_tells_unfinished_work_from_damage(retkd: Retkd, tmp_path: Path) -> None:
    from retkd.workspace import Workspace, locked, publish

    space = Workspace(tmp_path)
    published, left_over, at_work = (space.artifact(kind, "abcdef0123456789") for kind in ("mine", "train", "score"))
    for folder in (published, left_over, at_work):
        folder.mkdir(parents=True)
        (folder / "part").write_text("rows")
    publish(published, {"kind": "mine", "stage": "mine", "recipe": "tiny", "key_inputs": {}})
    with locked(at_work):
        code, out, _ = retkd("verify", "--workspace", tmp_path)
    assert code == 0
    assert out.splitlines() == [
        "score-abcdef012345: in progress: another process is at work here",
        "train-abcdef012345: left over from a run that was stopped: the same command goes on from it, or delete the folder",
        "1 artifacts, 0 problems, 2 unfinished",
    ]
    (published / "part").write_text("rowz")
    code, out, _ = retkd("verify", "--workspace", tmp_path)
    assert code == 1
    assert "mine-abcdef012345/part: content is not what the manifest says" in out
    assert out.splitlines()[-1] == "1 artifacts, 1 problems, 2 unfinished"


def test_search_answers_with_documents(retkd: Retkd, workspace: Path) -> None:
    code, out, _ = retkd("search", "baco", "--workspace", workspace, "-k", 3, "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [answer["rank"] for answer in found] == [1, 2, 3]
    assert found[0]["score"] >= found[1]["score"] >= found[2]["score"]
    assert all(answer["text"] for answer in found)


def test_search_says_whose_student_answers_where_none_was_named(retkd: Retkd, workspace: Path, tmp_path: Path) -> None:
    own = shutil.copytree(workspace, tmp_path / "own")
    gap = json.loads((own / "tiny" / "summary.json").read_text())["gap"]
    os.utime(own / "tiny" / "served.json", (0, 86400))
    whose = f"the student of tiny, nDCG@10 {gap['student']:.3f} on test; run of 1970-01-02 00:00 UTC; another: --recipe NAME\n"
    _, out, err = retkd("search", "baco", "--workspace", own)
    assert err.endswith(whose)
    code, named, err = retkd("search", "baco", "--workspace", own, "--recipe", "tiny")
    assert (code, named, "the student of" in err) == (0, out, False)
    (own / "tiny" / "summary.json").write_text(json.dumps({"stages": {}, "gap": gap}))
    assert "the student of tiny; run of" in retkd("search", "baco", "--workspace", own)[2]


def test_search_for_nothing_is_refused(retkd: Retkd, workspace: Path) -> None:
    code, out, err = retkd("search", " ", "--workspace", workspace)
    assert (code, out) == (1, "")
    assert "the query has no words" in err


def test_search_without_a_run_says_what_to_do(retkd: Retkd, tmp_path: Path) -> None:
    code, _, err = retkd("search", "words", "--workspace", tmp_path)
    assert code == 1
    assert "no run in this workspace has a student to ask" in err


def test_a_seed_reruns_what_is_random_and_nothing_before(retkd: Retkd, recipe: Path, workspace: Path) -> None:
    _, out, _ = retkd("status", recipe, "--workspace", workspace, "--seed", 8)
    rows = {line.split()[0]: line.split()[2] for line in out.splitlines()[1:] if line and not line.startswith(" ")}
    assert rows["mine"] == rows["bm25"] == "skip"
    assert rows["teach"] == rows["select"] == rows["train"] == "run"


def test_mistakes_come_together_with_their_lines(retkd: Retkd, recipe: Path) -> None:
    code, _, err = retkd(
        "validate", recipe, "--set", "stages.mine.miner.dept=3", "--set", "stages.index.recipe=flatt", "--set", "sed=1"
    )
    assert code == 2
    assert "3 problems" in err
    assert "did you mean 'depth'?" in err
    assert "did you mean 'flat'?" in err
    assert "did you mean 'seed'?" in err


@pytest.mark.parametrize("words", [("cp", "taid", "x.yaml"), ("run", "taid"), ("validate", "pipelines/tiad.yaml")])
def test_a_recipe_is_found_by_the_last_part_of_its_name(retkd: Retkd, words: tuple[str, ...]) -> None:
    code, _, err = retkd(*words)
    assert code == 2
    assert err.endswith("  next step: did you mean 'methods/taid'?\n")


def test_a_recipe_that_no_name_is_near_brings_no_list_of_all(retkd: Retkd) -> None:
    assert retkd("validate", "xyzzy")[2] == (
        "error: there is no such recipe\n  where: xyzzy\n  allowed: a file, or a name that `retkd ls` shows\n"
        "  next step: `retkd ls` shows every name and its purpose\n"
    )


def test_an_unknown_recipe_is_an_error(retkd: Retkd) -> None:
    code, _, err = retkd("run", "quikstart")
    assert code == 2
    assert "did you mean 'quickstart'?" in err


def test_every_recipe_that_comes_with_retkd_is_valid(retkd: Retkd, monkeypatch: pytest.MonkeyPatch) -> None:
    from retkd.shipped import folder

    for name in ("RETKD_DATA", "CONVERSATIONS"):
        monkeypatch.setenv(name, "FOLDER")
    recipes = sorted(folder("pipelines").rglob("*.yaml"))
    assert len(recipes) >= 3
    for path in recipes:
        code, _, err = retkd("validate", path)
        assert code == 0, err
        assert path.read_text().startswith("# Purpose:")
        assert "# Command: " in path.read_text()


def test_ls_and_cp(retkd: Retkd, tmp_path: Path) -> None:
    assert "quickstart" in retkd("ls")[1]
    assert "hnsw" in retkd("ls", "indexes")[1]
    assert (
        "bm25, lucene, dense, sparse, late_interaction, run_file, random, responses, stage, fused"
        in retkd("ls", "kinds")[1]
    )
    target = tmp_path / "my.yaml"
    assert retkd("cp", "quickstart", target)[0] == 0
    assert target.read_text().startswith("# Purpose:")
    assert "\nname: my\n" in target.read_text()
    assert f"# Command: retkd run {target}   (a copy of quickstart.yaml" in target.read_text()
    assert f"# Small:   retkd run {target} --set budget=small\n" in target.read_text()
    assert "retkd run pipelines" not in target.read_text()
    code, _, err = retkd("cp", "quickstart", target)
    assert code == 1
    assert "nothing was written" in err


def test_a_copy_of_a_recipe_may_reach_other_numbers(retkd: Retkd, tmp_path: Path) -> None:
    target, source = tmp_path / "my.yaml", located(Path("methods/kl"))
    assert retkd("cp", "methods/kl", target)[0] == 0
    assert yaml.safe_load(source.read_text())["expected"]
    written = yaml.safe_load(source.read_text()) | {"name": "my", "extends": "quickstart"}
    del written["expected"]
    assert yaml.safe_load(target.read_text()) == written
    last = source.read_text().splitlines()[-1]
    assert target.read_text().endswith(f"\n# {last}\n")
    with target.open("a") as file:
        file.write(f"collection: {{kind: beir, path: {tmp_path}}}\n")
    code, out, err = retkd("validate", target)
    assert (code, "my.yaml: valid" in out) == (0, True), err
    assert "begins afresh, without share (budget small)" in err


@pytest.mark.parametrize("name", ["methods/disco-sparse", "nightly/disco-sparse-xquad", "beir"])
def test_a_copy_extends_what_its_original_does_wherever_it_lies(
    retkd: Retkd, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the path that the original has leads to another file."""
    monkeypatch.setenv("CONVERSATIONS", str(tmp_path))
    (tmp_path / "mine").mkdir()
    for place in (tmp_path, tmp_path / "mine", tmp_path / "methods"):
        place.mkdir(exist_ok=True)
        for other in ("quickstart", "disco", "disco-sparse"):
            (place / f"{other}.yaml").write_text("name: another\n")
    target = tmp_path / "mine" / "copy.yaml"
    assert retkd("cp", name, target)[0] == 0
    code, out, err = retkd("validate", target)
    assert (code, "copy.yaml: valid" in out) == (0, True), err


def test_candidates_are_copied_for_other_tools(retkd: Retkd, workspace: Path, tmp_path: Path) -> None:
    assert "flagembedding" in retkd("ls", "formats")[1]
    target = tmp_path / "bge.jsonl"
    here = ("--workspace", workspace, "--recipe", "tiny")
    code, out, err = retkd("cp", "select", target, "--to", "flagembedding", "--teacher", "both", *here)
    assert (code, err) == (0, "rows of the stage select of the recipe tiny, texts of the recipe tiny\n")
    records = [json.loads(line) for line in target.read_text().splitlines()]
    assert f"{len(records)} lists, scores of both -> {target}" in " ".join(out.split("\n"))
    assert "this format loses grades above 1" in out
    assert all(len(record["neg"]) == len(record["neg_scores"]) for record in records)
    artifact = workspace / "artifacts" / json.loads((workspace / "tiny" / "stages.json").read_text())["select"]
    again = tmp_path / "again.jsonl"
    code, _, err = retkd("cp", artifact, again, "--to", "flagembedding", "--teacher", "both", *here)
    assert (code, err) == (0, f"rows of the artifact {artifact.name}, texts of the recipe tiny\n")
    assert again.read_bytes() == target.read_bytes()
    part = next((artifact / "train").glob("*.parquet"))
    assert retkd("cp", part, tmp_path / "nemo", "--to", "nemo", "--teacher", "ce", *here)[0] == 0
    assert len(json.loads((tmp_path / "nemo" / "train.json").read_text())["data"]) == len(records)


def test_candidates_of_another_writer_are_brought_to_the_tables_types(
    retkd: Retkd, workspace: Path, tmp_path: Path
) -> None:
    """pandas and others write wide integers, doubles and plain strings; what is no candidates table is told."""
    here = ("--workspace", workspace, "--recipe", "tiny", "--to", "flagembedding", "--teacher", "ce")
    artifact = workspace / "artifacts" / json.loads((workspace / "tiny" / "stages.json").read_text())["select"]
    part = next((artifact / "train").glob("*.parquet"))
    assert retkd("cp", part, tmp_path / "a.jsonl", *here)[0] == 0
    rows = pq.read_table(part)
    wide = {"rank": pa.int64(), "score": pa.float64(), "source": pa.string(), "teacher.ce": pa.float64()}
    for name, kind in wide.items():
        field = pa.field(name, kind, metadata=rows.field(name).metadata)
        rows = rows.set_column(rows.column_names.index(name), field, rows[name].cast(kind))
    pq.write_table(rows, tmp_path / "wide.parquet")
    assert retkd("cp", tmp_path / "wide.parquet", tmp_path / "b.jsonl", *here)[0] == 0
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    (tmp_path / "junk.parquet").write_text("junk")
    at = rows.column_names.index("rank")
    words = rows.set_column(at, "rank", pa.array(["first"] * rows.num_rows))
    gaps = rows.set_column(at, "rank", pa.nulls(rows.num_rows, pa.int32()))
    for name, table in {"words": words, "gaps": gaps, "less": rows.drop_columns(["rank"])}.items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
    for name, told in {
        "junk": "the file is not parquet",
        "words": "the column rank is not as a candidates table has it",
        "gaps": "the column rank has nulls",
        "less": "the file is no candidates table",
    }.items():
        code, _, err = retkd("cp", tmp_path / f"{name}.parquet", tmp_path / "c.jsonl", *here)
        assert code == 1
        assert told in err


def test_a_copy_that_cannot_be_made_writes_nothing(retkd: Retkd, workspace: Path, tmp_path: Path) -> None:
    here = ("--workspace", workspace, "--recipe", "tiny")
    target = tmp_path / "out.jsonl"
    for words, told in (
        (("selekt", target, "--to", "tevatron"), "did you mean 'select'?"),
        (("select", target, "--to", "tevatrom"), "did you mean 'tevatron'?"),
        (("select", target, "--to", "tevatron"), "several teachers have scored these candidates"),
        (("train", target, "--to", "tevatron"), "a stage of kind train gives no candidates"),
        (("select", target, "--to", "tevatron", "--split", "val"), "no candidates table for the split 'val'"),
        (
            ("select", target, "--to", "sentence_transformers", "--teacher", "ce", "--negatives", 99),
            "lists with fewer than 99",
        ),
        (("select", tmp_path, "--to", "tevatron"), "the target exists already; nothing was written"),
    ):
        code, _, err = retkd("cp", *words, *here)
        assert code == 1
        assert told in err
    code, _, err = retkd("cp", "select", target, "--to", "tevatron", "--workspace", tmp_path / "empty")
    assert "nothing has run in this workspace" in err
    code, _, err = retkd("cp", "quickstart")
    assert "cp needs a target for a recipe, or --to FORMAT for candidates" in err
    assert list(tmp_path.iterdir()) == []


def test_history_tabulates_past_runs(retkd: Retkd, workspace: Path) -> None:
    code, out, _ = retkd("history", "--workspace", workspace)
    assert code == 0
    assert "tiny" in out
    assert "student" in out


def test_doctor_finds_what_is_installed(retkd: Retkd) -> None:
    code, out, _ = retkd("doctor")
    assert code == 0
    assert "ok: torch" in out
    assert "torchrun --standalone --nproc_per_node" in " ".join(out.split())


def test_a_misspelt_model_is_told_with_its_line(retkd: Retkd, recipe: Path) -> None:
    code, _, err = retkd("validate", recipe, "--set", "stages.index.model=trian")
    assert code == 2
    assert "there is no stage and no folder 'trian'" in err
    assert "where: --set, key stages.index.model" in err
    assert "did you mean 'train'?" in err


def test_a_collection_without_train_is_told_before_anything_runs(retkd: Retkd, recipe: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "collection"
    shutil.copytree(recipe.parent / "collection", folder)
    for split in ("train", "dev"):
        (folder / "qrels" / f"{split}.tsv").unlink()
    told = ("--workspace", tmp_path / "runs", "--set", f"collection.path={folder}")
    assert retkd("run", recipe, "--dry-run", *told)[0] == 2
    code, _, err = retkd("run", recipe, *told)
    assert code == 2
    assert "trains on the split train, which the collection does not have" in err
    assert "seen: splits: test" in err
    assert "transfer:" in err
    assert not list((tmp_path / "runs").glob("artifacts/*"))


@pytest.mark.parametrize(
    ("key", "seen", "value"),
    [("stages.evaluate.splits", "tset", "[tset]"), ("collection.sample.trian", "trian", "3")],
)
def test_a_split_that_the_collection_does_not_have(
    retkd: Retkd, recipe: Path, tmp_path: Path, key: str, seen: str, value: str
) -> None:
    code, _, err = retkd("run", recipe, "--workspace", tmp_path, "--set", f"{key}={value}")
    assert code == 2
    assert f"the collection has no split {seen!r}\n  where: --set, key {key}\n  seen: {seen}\n" in err


def test_a_split_that_is_written_has_its_line(retkd: Retkd, recipe: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(recipe.read_text().replace("splits: evaluation", "splits: [tset]"))
    code, _, err = retkd("status", own, "--workspace", tmp_path / "runs")
    line = next(number for number, line in enumerate(own.read_text().splitlines(), 1) if "tset" in line)
    assert (code, f"where: {own}:{line}, key stages.evaluate.splits\n" in err) == (2, True)


def test_a_sample_of_another_collection_has_its_place(retkd: Retkd, recipe: Path, tmp_path: Path) -> None:
    other = f"transfer.other={{kind: beir, path: {recipe.parent / 'collection'}, sample: {{tset: 3}}}}"
    code, _, err = retkd("status", recipe, "--workspace", tmp_path, "--set", other)
    assert code == 2
    assert "where: --set, key transfer.other.sample.tset\n" in err


def test_the_bm25_control_leaves_nothing_out(recipe: Path) -> None:
    """A miner that skips the top makes negatives; the control is a ranking."""
    from retkd.recipe import load

    own = "{kind: bm25, k1: 1.5, skip: 10, doc_id_pattern: ^d, name: lexical}"
    stages = load(recipe, [f"stages.mine.miner.miners.0={own}"]).stages
    assert stages["mine"].miner.miners[0].skip == 10
    control = stages["bm25"].miner
    assert (control.k1, control.skip, control.doc_id_pattern, control.source) == (1.5, 0, None, "bm25")


def test_the_bm25_control_has_the_settings_of_the_recipes_own_miner(recipe: Path) -> None:
    from retkd.recipe import load

    changed = load(recipe, ["stages.mine.miner.miners.0.analyzer=code", "stages.mine.miner.miners.0.k1=1.2"])
    control = changed.stages["bm25"].miner
    assert (control.kind, control.analyzer, control.k1, control.depth) == ("bm25", "code", 1.2, 20)


def test_a_recipe_cannot_take_a_folder_of_the_workspace(retkd: Retkd, recipe: Path) -> None:
    code, _, err = retkd("validate", recipe, "--set", "name=store")
    assert code == 2
    assert "a recipe cannot be named store" in err


def test_a_place_in_a_list_may_be_written_as_status_prints_it(recipe: Path) -> None:
    from retkd.recipe import load

    assert load(recipe, ["stages.train.objective[1].weight=0.3"]).stages["train"].objective[1].weight == 0.3


def test_validate_says_what_is_not_here(retkd: Retkd, recipe: Path) -> None:
    code, out, err = retkd("validate", recipe)
    assert (code, "not here" in out) == (0, False), err
    changes = [
        "transfer.other.kind=beir",
        "transfer.other.path=/no/such/folder",
        "stages.teach.base=package:no_such/model",
    ]
    code, out, err = retkd("validate", recipe, *(word for change in changes for word in ("--set", change)))
    assert code == 0, err
    assert "not here: transfer.other.path: /no/such/folder does not exist" in out
    assert "not here: package:no_such/model: the package no_such that carries the model is not installed" in out


def test_validate_says_which_device_package_and_hub_are_not_here(
    retkd: Retkd, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr("retkd.absent.find_spec", lambda name: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    changes = ["runtime.device=cuda", "runtime.executor=ray", "stages.teach.base=no-such-org/model"]
    code, out, err = retkd("validate", recipe, *(word for change in changes for word in ("--set", change)))
    assert code == 0, err
    assert [line for line in out.splitlines() if line.startswith("not here")] == [
        "not here: no-such-org/model: asked of the hub, which is set offline, and not kept here; fetch it first, or unset "
        "HF_HUB_OFFLINE",
        "not here: runtime.device: the device cuda is not available to torch here; allowed: auto, cpu",
        "not here: runtime.executor: ray needs the package ray, which is not installed; pip install 'retkd[ray]'",
    ]
    monkeypatch.setattr("retkd.absent.find_spec", lambda name: object())
    assert "not here" not in retkd("validate", recipe, "--set", "runtime.executor=ray")[1]


def test_a_run_does_not_begin_without_a_model_that_a_late_stage_needs(
    retkd: Retkd, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the hub offline also a model of a hub; else nobody knows before it is asked."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    changes = (
        "--set",
        "stages.train.student.base=no-such-org/model",
        "--set",
        "stages.teach.base=package:no_such/model",
    )
    code, _, err = retkd("run", recipe, *changes, "--workspace", tmp_path / "runs")
    assert code == 2
    assert "cannot be run: 2 problems" in err
    assert (
        "key stages.train.student.base\n      seen: no-such-org/model\n      next step: fetch it first, or unset" in err
    )
    assert (
        "the package no_such that carries the model is not installed\n      where: --set, key stages.teach.base\n"
        in err
    )
    assert list((tmp_path / "runs").glob("artifacts/*")) == []
    code, _, err = retkd("run", recipe, *changes, "--only", "mine", "--workspace", tmp_path / "runs")
    assert code == 0, err


def test_a_collection_with_nothing_to_evaluate_on_is_told_before_anything_runs(
    retkd: Retkd, recipe: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(yaml.safe_load(recipe.read_text())["collection"]["path"], tmp_path / "folder")
    for split in ("dev", "test"):
        (folder / "qrels" / f"{split}.tsv").unlink()
    code, _, err = retkd("run", recipe, "--set", f"collection.path={folder}", "--workspace", tmp_path / "runs")
    assert code == 2
    assert "the collection has none of the splits dev, test" in err
    assert not list((tmp_path / "runs").glob("artifacts/*/manifest.json"))


def test_cp_into_a_folder_that_is_not_there(retkd: Retkd, tmp_path: Path) -> None:
    code, _, err = retkd("cp", "quickstart", tmp_path / "no" / "my.yaml")
    assert code == 1
    assert "the target's folder does not exist; nothing was written" in err
