"""A whole recipe under torchrun: two processes on the CPU give the trainings of one; one is killed, and the next run goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from retkd import runner
from retkd.recipe import load
from retkd.workspace import Workspace
from tests.tiny_recipe import tiny_recipe
from tests.together import near

ROOT = Path(__file__).resolve().parents[2]
RUN = ("-m", "retkd.cli", "run")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny recipe, whose encoder has no dropout: its draws depend on the number of processes.

    The student learns from the encoder, so that the last bits of the taught teacher do not reach it.
    """
    path = tiny_recipe(tmp_path_factory.mktemp("torchrun"))
    path.write_text(path.read_text().replace("teacher: both", "teacher: base"))
    told = path.parent / "encoder" / "config.json"
    without = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    told.write_text(json.dumps(json.loads(told.read_text()) | without))
    return path


@pytest.fixture(scope="module")
def alone(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of a run in one process."""
    workspace = tmp_path_factory.mktemp("alone")
    runner.run(load(recipe), Workspace(workspace))
    return workspace


def launched(*words: Any) -> subprocess.CompletedProcess[str]:
    """torchrun with two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *map(str, words)]
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **paths}, capture_output=True, text=True, timeout=600)


def artifact(workspace: Path, stage: str) -> Path:
    stages = json.loads((workspace / "tiny" / "stages.json").read_text())
    return workspace / "artifacts" / str(stages[stage])


def test_killed_and_gone_on_it_gives_what_one_process_gives(recipe: Path, alone: Path, tmp_path: Path) -> None:
    killed = launched("-m", "tests.dying", "run", recipe, "--workspace", tmp_path)
    assert killed.returncode != 0
    assert "Signal 9 (SIGKILL)" in killed.stderr
    (work,) = tmp_path.glob("artifacts/train-*/work")
    assert [path.parent.name for path in work.glob("checkpoint-*/complete")] == ["checkpoint-5"]
    assert not (work.parent / "manifest.json").exists()

    resumed = launched(*RUN, recipe, "--workspace", tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stderr.count("train: done in ") == 1
    assert "train 12 steps: 5 of 12 were done before" in resumed.stderr
    assert resumed.stdout.count("summary  ") == 1
    told = json.loads((artifact(tmp_path, "train") / "manifest.json").read_text())
    assert (told["processes"], told["resumed"]) == (2, True)

    for stage in ("teach", "train"):
        one, both = artifact(alone, stage), artifact(tmp_path, stage)
        assert stage == "train" or one.name == both.name
        rows = [[json.loads(line) for line in (each / "trace.jsonl").read_text().splitlines()] for each in (one, both)]
        for ours, theirs in zip(*rows, strict=True):
            assert theirs.get("loss", 0) == pytest.approx(ours.get("loss", 0), rel=1e-5)
            assert theirs.get("dev", {}) == pytest.approx(ours.get("dev", {}), abs=1e-3)
        weights = [load_file(each / "model" / "model.safetensors") for each in (one, both)]
        assert near(weights[1], weights[0], 1e-4)

    second = launched(*RUN, recipe, "--workspace", tmp_path)
    assert second.returncode == 0
    assert "done in" not in second.stderr
