"""Faults put into a run: what stops it, and where."""

from collections.abc import Callable
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
