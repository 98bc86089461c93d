"""Faults put into a run: what stops it, and where."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class StopError(Exception):
    """Raised in the middle of something, in the place of a kill."""


def stop() -> None:
    """Stop here."""
    raise StopError


def stop_before(step: int, monkeypatch: pytest.MonkeyPatch, how: Callable[[], None]) -> None:
    """Let something happen at the end of ``step``, before its end is told."""
    from retkd.training import trainer

    told = trainer._Steps.on_step_end

    def on_step_end(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == step:
            how()
        told(self, args, state, control, **kwargs)

    monkeypatch.setattr(trainer._Steps, "on_step_end", on_step_end)


def stop_after(step: int, monkeypatch: pytest.MonkeyPatch, how: Callable[[], None] = stop) -> None:
    """Let a training end after ``step``, before anything is saved there."""
    from retkd.training import trainer

    told = trainer._Steps.on_step_end

    def on_step_end(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        told(self, args, state, control, **kwargs)
        if state.global_step == step:
            how()

    monkeypatch.setattr(trainer._Steps, "on_step_end", on_step_end)


def trained_in_two_sittings(config: Any, ready: Any, folder: Path, patch: pytest.MonkeyPatch) -> Any:
    """Stop a train stage after step 5 and go on in ``out``: the bytes are those of ``undisturbed``, whose metrics these are."""
    from retkd.stages.train import run
    from tests.conftest import files

    metrics = run(config, ready, folder / "undisturbed")
    with patch.context() as patched:
        stop_after(5, patched)
        with pytest.raises(StopError):
            run(config, ready, folder / "out")
    assert files(folder / "out") == {}
    run(config, ready, folder / "out")
    assert files(folder / "out") == files(folder / "undisturbed")
    return metrics
