"""Killed with SIGKILL at any moment in any stage, the next run ends with the same artifacts as an undisturbed one."""

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tiny_recipe import tiny_recipe

FORK = multiprocessing.get_context("fork")
MOST_PROCESSES = 200


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny recipe; the heavy packages are imported once, here, so that forked runs begin at once."""
    import faiss  # noqa: F401
    import ir_measures  # noqa: F401
    import onnxruntime  # noqa: F401
    import sentence_transformers  # noqa: F401
    import torch

    torch.set_num_threads(1)
    return tiny_recipe(tmp_path_factory.mktemp("kill"))


@pytest.fixture(scope="module")
def undisturbed(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Artifact folder name -> digest, of a run that nobody stopped."""
    workspace = tmp_path_factory.mktemp("undisturbed")
    assert _forked(recipe, workspace, lambda: None) == 0
    return _digests(workspace)


def test_killed_before_every_rename(recipe: Path, undisturbed: dict[str, str], tmp_path: Path) -> None:
    """Each process dies at the first rename at which none has died, so that every rename is a moment of death once.

    Of several stages of one kind, one dies at each.
    """
    codes = []
    while not codes or codes[-1] != 0:
        codes.append(_forked(recipe, tmp_path, lambda: _die_at_a_new_rename(tmp_path, tmp_path / "deaths")))
        assert len(codes) < MOST_PROCESSES
    assert codes.count(-signal.SIGKILL) == len(codes) - 1
    assert len(codes) > 3 * len(undisturbed)
    assert _digests(tmp_path) == undisturbed


@pytest.mark.parametrize("step", [1, 4, 5, 6, 11])
def test_killed_in_training(recipe: Path, undisturbed: dict[str, str], tmp_path: Path, step: int) -> None:
    """Between checkpoints, at a checkpoint, before the first one: in teach, train and control alike."""
    codes = []
    while not codes or codes[-1] != 0:
        codes.append(_forked(recipe, tmp_path, lambda: _die_at_step(step)))
        assert len(codes) < 10
    assert codes == [-signal.SIGKILL] * 3 + [0]
    assert _digests(tmp_path) == undisturbed


def test_killed_inside_a_checkpoint(recipe: Path, undisturbed: dict[str, str], tmp_path: Path) -> None:
    """A checkpoint whose weights are there and whose optimiser is not is no checkpoint."""
    assert _forked(recipe, tmp_path, _die_at_torch_save) == -signal.SIGKILL
    assert list(tmp_path.glob("artifacts/teach-*/work/checkpoint-*/model.safetensors"))
    assert _forked(recipe, tmp_path, lambda: None) == 0
    assert _digests(tmp_path) == undisturbed


@pytest.mark.parametrize("seed", range(3))
def test_killed_whenever(recipe: Path, undisturbed: dict[str, str], tmp_path: Path, seed: int) -> None:
    """From outside, after a random time, again and again until one run is quick enough."""
    moments = random.Random(seed)
    for _ in range(6):
        process = FORK.Process(target=_run, args=(recipe, tmp_path, lambda: None))
        process.start()
        process.join(moments.uniform(0.05, 1.5))
        if process.exitcode is None:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
    assert _forked(recipe, tmp_path, lambda: None) == 0
    assert _digests(tmp_path) == undisturbed


def test_a_second_run_does_nothing(recipe: Path, tmp_path: Path) -> None:
    """Everything is skipped: no file of any artifact is touched, and it is quick."""
    assert _forked(recipe, tmp_path, lambda: None) == 0
    before = _times(tmp_path)
    began = time.monotonic()
    assert _forked(recipe, tmp_path, lambda: None) == 0
    assert time.monotonic() - began < 3
    assert _times(tmp_path) == before


def _forked(recipe: Path, workspace: Path, prepare: Callable[[], object]) -> int | None:
    process = FORK.Process(target=_run, args=(recipe, workspace, prepare))
    process.start()
    process.join()
    return process.exitcode


def _run(recipe: Path, workspace: Path, prepare: Callable[[], object]) -> None:
    from retkd import runner
    from retkd.recipe import load
    from retkd.workspace import Workspace

    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    prepare()
    told = runner.run(load(recipe), Workspace(workspace))
    os._exit(0 if told["complete"] else 5)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_at_a_new_rename(workspace: Path, deaths: Path) -> None:
    rename = os.replace

    def replace(source: str, target: str) -> None:
        moment = _moment(Path(target).relative_to(workspace))
        known = deaths.read_text().splitlines() if deaths.exists() else []
        if moment is not None and moment not in known:
            deaths.write_text("\n".join([*known, moment]))
            _die()
        rename(source, target)

    os.replace = replace  # type: ignore[assignment]


def _moment(target: Path) -> str | None:
    """What is renamed, without the key that names one of several stages of a kind; caches are not looked at."""
    place, name, *inside = target.parts
    if place == "artifacts":
        return "/".join([name.split("-")[0], *inside])
    return "/".join([name, *inside[1:]]) if place == "store" else None


def _die_at_step(step: int) -> None:
    """Die when a training reaches ``step``, once in each stage."""
    from retkd.training import trainer

    told = trainer._Steps.on_step_end

    def on_step_end(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        told(self, args, state, control, **kwargs)
        if state.global_step == step and not _died_here(args.output_dir, step):
            _die()

    trainer._Steps.on_step_end = on_step_end


def _died_here(work: str, step: int) -> bool:
    mark = Path(work).parent.parent.parent / f".died-{Path(work).parent.name}-{step}"
    if mark.exists():
        return True
    mark.touch()
    return False


def _die_at_torch_save() -> None:
    import torch

    torch.save = lambda *args, **kwargs: _die()


def _digests(workspace: Path) -> dict[str, str]:
    found = {p.parent.name: json.loads(p.read_text())["digest"] for p in workspace.glob("artifacts/*/manifest.json")}
    assert found
    return found


def _times(workspace: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in workspace.glob("artifacts/**/*") if p.is_file()}
