"""Progress where standard error is no terminal: lines with the time so far and the time left."""

import pytest

from retkd import progress


def test_a_line_tells_the_pace_of_this_run_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """60 of 100 were done before; 10 units took 30 s, so the 30 that are left take 90."""
    clock = iter([0.0, 30.0, 31.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.track("encode", total=100, done=60) as step:
        step(10)
        step(1)
    assert capsys.readouterr().err.splitlines() == [
        "encode: 60 of 100 were done before",
        "encode: 70 of 100, 30.0 s so far, about 1 min 30 s left",
    ]
