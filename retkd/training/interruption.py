"""Ctrl-C while a model is trained: the step at hand is ended and kept, so that what was trained is not lost."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from retkd import processes


@dataclass
class Interruption:
    """Whether the training was asked to stop."""

    asked: bool = False

    def stop(self, step: int, of: int) -> NoReturn:
        """End the training, whose step this was: a KeyboardInterrupt that says what is kept."""
        raise KeyboardInterrupt(f"finished stages and step {step:,} of {of:,} of this training are kept")


@contextmanager
def interruption() -> Iterator[Interruption]:
    """The first SIGINT is noted, a second one stops at once. Of several processes each is stopped at once, as ever; one that
    was started to ignore it, as a shell starts what it puts into the background, goes on ignoring it."""
    told, before = Interruption(), signal.getsignal(signal.SIGINT)
    elsewhere = processes.count() > 1 or threading.current_thread() is not threading.main_thread()
    if elsewhere or before == signal.SIG_IGN:
        yield told
        return

    def note(number: int, frame: FrameType | None) -> None:
        told.asked = True
        signal.signal(signal.SIGINT, before)
        print("stopping after this step; once more to stop at once", file=sys.stderr, flush=True)

    signal.signal(signal.SIGINT, note)
    try:
        yield told
    finally:
        signal.signal(signal.SIGINT, before)
