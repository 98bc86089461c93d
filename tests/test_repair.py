"""The next step for a damaged artifact names what to delete, what is made anew, and what reads it."""

from pathlib import Path

from retkd.repair import next_step
from retkd.workspace import Workspace, publish


def made(space: Workspace, stage: str, key: str, params: dict[str, str]) -> tuple[Path, str]:
    """An artifact of a stage, and its digest."""
    artifact = space.artifact(stage, key * 12)
    artifact.mkdir(parents=True)
    (artifact / "part").write_text(stage)
    told = publish(artifact, {"stage": stage, "recipe": "tiny", "key_inputs": {"params": params}})
    return artifact, told["digest"]


def test_the_stages_that_read_it_are_named_once(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    mined, digest = made(space, "mine", "a", {})
    for stage, key in (("score", "b"), ("score", "c"), ("lists", "d")):
        made(space, stage, key, {"candidates": f"stage:{digest}"})
    made(space, "train", "e", {"candidates": "stage:other"})
    assert next_step(mined) == (
        f"delete {mined} and run tiny again: its stage mine is made anew, and what reads it (lists, score) where it comes "
        "out otherwise; delete what read the damage too"
    )


def test_a_manifest_that_is_no_json_names_no_stage(tmp_path: Path) -> None:
    artifact, _ = made(Workspace(tmp_path), "mine", "a", {})
    (artifact / "manifest.json").write_text("{")
    assert next_step(artifact) == f"delete {artifact} and run its recipe again: the stage is made anew"
