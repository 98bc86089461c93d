"""What the terminal says of an interruption."""

import pytest

from retkd import screen


@pytest.mark.parametrize(
    ("interrupt", "kept"),
    [
        (KeyboardInterrupt(), "finished stages, shards and checkpoints are kept"),
        (KeyboardInterrupt("step 3 of 10 is kept"), "step 3 of 10 is kept"),
    ],
)
def test_an_interrupted_run_says_what_is_kept(
    interrupt: KeyboardInterrupt, kept: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt), screen.interruptible():
        raise interrupt
    assert capsys.readouterr().err == f"stopped: {kept}; the same command goes on from there\n"
