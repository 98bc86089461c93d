"""Artifacts: trusted when their manifest stands, told apart when damaged, held by one process."""

import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from retkd import workspace as ws
from retkd.digests import digest_file, digest_of
from retkd.errors import WorkspaceError

FILES = {"train/part.txt": "rows", "model/weights": "numbers", "timings.json": "1.5 s"}


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """An artifact as a stage leaves it: outputs, scratch, and a leftover of a write that was cut short."""
    folder = ws.Workspace(tmp_path).artifact("train", "abcdef0123456789")
    for name, text in {**FILES, "work/checkpoint-3/state": "scratch", "model/.weights.tmp-17": "half"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_folders_are_named_by_kind_and_key(tmp_path: Path) -> None:
    space = ws.Workspace(tmp_path)
    assert space.artifact("train", "abcdef0123456789") == tmp_path / "artifacts" / "train-abcdef012345"
    assert space.recipe_folder("tiny") == tmp_path / "tiny"
    assert space.stages("tiny") == {}
    space.write_json(tmp_path / "tiny" / "stages.json", {"mine": "mine-1"})
    assert space.stages("tiny") == {"mine": "mine-1"}


def test_nothing_stands_before_it_is_published(artifact: Path) -> None:
    assert ws.manifest(artifact) is None
    assert not ws.stands(artifact)
    assert ws.damage(artifact) == ["train-abcdef012345: no manifest, so nothing here is trusted"]


def test_publishing_hashes_the_outputs_and_drops_the_scratch(artifact: Path) -> None:
    whole = ws.publish(artifact, {"kind": "train"}, volatile=("timings.json",))
    assert ws.manifest(artifact) == whole
    assert whole["kind"] == "train"
    assert whole["outputs"] == {
        name: {
            "sha256": digest_file(artifact / name),
            "bytes": len(text),
            **({"volatile": True} if name == "timings.json" else {}),
        }
        for name, text in FILES.items()
    }
    steady = {name: of["sha256"] for name, of in whole["outputs"].items() if name != "timings.json"}
    assert whole["digest"] == digest_of(steady)
    found = sorted(p.relative_to(artifact).as_posix() for p in artifact.rglob("*") if p.is_file())
    assert found == sorted([*FILES, "manifest.json"])
    assert ws.stands(artifact)
    assert ws.damage(artifact) == []


def test_clock_times_do_not_enter_the_digest(artifact: Path) -> None:
    first = ws.publish(artifact, {}, volatile=("tim*.json",))
    (artifact / "timings.json").write_text("9.9 s")
    assert ws.publish(artifact, {}, volatile=("tim*.json",))["digest"] == first["digest"]
    (artifact / "train/part.txt").write_text("rowz")
    assert ws.publish(artifact, {}, volatile=("tim*.json",))["digest"] != first["digest"]


def cut(path: Path) -> None:
    path.write_text("row")


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("harm", [cut, remove])
def test_a_missing_output_and_one_of_another_size_are_seen_at_once(
    artifact: Path, harm: Callable[[Path], None]
) -> None:
    ws.publish(artifact, {})
    harm(artifact / "train/part.txt")
    assert not ws.stands(artifact)
    assert ws.damage(artifact) == ["train-abcdef012345/train/part.txt: missing or not 4 bytes"]


def test_other_content_of_the_same_size_is_seen_by_verify(artifact: Path) -> None:
    ws.publish(artifact, {})
    (artifact / "train/part.txt").write_text("rowz")
    assert ws.stands(artifact)
    assert ws.damage(artifact) == ["train-abcdef012345/train/part.txt: content is not what the manifest says"]


def test_a_manifest_that_is_no_json_is_damage(artifact: Path) -> None:
    ws.publish(artifact, {"kind": "train"})
    cut(artifact / "manifest.json")
    assert ws.unfinished(artifact) is None
    assert ws.damage(artifact) == ["train-abcdef012345/manifest.json: not the JSON that was published"]


def test_what_is_unfinished_is_in_progress_or_left_over(artifact: Path) -> None:
    left_over = "left over from a run that was stopped: the same command goes on from it, or delete the folder"
    assert ws.unfinished(artifact) == left_over
    with ws.locked(artifact):
        assert ws.unfinished(artifact) == "in progress: another process is at work here"
    assert ws.unfinished(artifact) == left_over
    ws.publish(artifact, {"kind": "train"})
    assert ws.unfinished(artifact) is None


def test_the_collections_of_a_recipe_are_as_new_as_its_latest_run(tmp_path: Path) -> None:
    """By that date `retkd cp` takes the latest run."""
    space = ws.Workspace(tmp_path)
    path = tmp_path / "tiny" / ws.COLLECTIONS
    space.write_collections("tiny", [{"kind": "beir"}])
    os.utime(path, (0, 0))
    space.write_collections("tiny", [{"kind": "beir"}])
    assert path.stat().st_mtime > 0
    assert space.collections("tiny") == [{"kind": "beir"}]


def test_what_is_discarded_is_gone_with_everything_in_it(artifact: Path) -> None:
    ws.publish(artifact, {})
    ws.discard(artifact)
    assert not artifact.exists()


def hold(artifact: Path, held: object, release: object) -> None:
    """Hold the artifact in another process until told."""
    with ws.locked(artifact):
        held.set()  # type: ignore[attr-defined]
        release.wait(20)  # type: ignore[attr-defined]


def test_one_process_at_a_time_and_the_lock_goes_with_it(artifact: Path) -> None:
    context = multiprocessing.get_context("fork")
    held, release = context.Event(), context.Event()
    process = context.Process(target=hold, args=(artifact, held, release))
    process.start()
    assert held.wait(20)
    with pytest.raises(WorkspaceError) as error, ws.locked(artifact):
        raise AssertionError("two processes hold it")
    assert str(error.value) == (
        "another process is working on this artifact\n"
        f"  where: {artifact}\n"
        "  next step: wait for it, or give this run its own --workspace"
    )
    process.kill()
    process.join()
    with ws.locked(artifact):
        pass


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "told.json"
    ws.Workspace(tmp_path).write_json(path, {"ü": 1})
    assert json.loads(path.read_text(encoding="utf-8")) == {"ü": 1}
    with pytest.raises(TypeError):
        ws.Workspace(tmp_path).write_json(path, {"x": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"ü": 1}
    assert [p.name for p in path.parent.iterdir()] == ["told.json"]


def test_a_manifest_that_is_no_json_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(WorkspaceError, match="remove the folder"):
        ws.manifest(tmp_path)
