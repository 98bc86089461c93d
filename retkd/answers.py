"""What a language model answered, kept for good: an append-only file per model, each answer stored before the next is asked for.

One line holds the answers of one request: ``{"answers": {key: answer}, "tokens": n}``. A key is the SHA-256 of model,
settings and prompt, so a rerun, another recipe or another window asks only for what nobody has asked. A line counts when
it is whole; one that a kill cut short is passed over, said, and cut off before the next is written.
"""

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from retkd.digests import digest_of
from retkd.errors import DataError
from retkd.progress import say
from retkd.workspace import locked

Answer = Mapping[str, Any]
"""What is stored of one answer: plain JSON data."""


def answer_key(model: object, settings: object, prompt: object) -> str:
    """SHA-256 over everything that decides an answer. All three are plain JSON data."""
    return digest_of({"model": model, "settings": settings, "prompt": prompt})


class Answers:
    """The answers of one model. Opened by :func:`opened`, which holds the file against other processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, Answer] = {}
        self.tokens_spent = 0
        self._writing = threading.Lock()
        for told in _whole_lines(path):
            self._learn(told)

    def add(self, answers: Mapping[str, Answer], tokens: int = 0) -> None:
        """Store the answers of one request, and what it cost, as one line that is on the disk when this returns.

        Threads may call this at once.
        """
        told = {"answers": dict(answers), "tokens": tokens}
        line = (json.dumps(told, ensure_ascii=False, allow_nan=False) + "\n").encode()
        with self._writing:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            self._learn(told)

    def _learn(self, told: Mapping[str, Any]) -> None:
        self.known.update(told["answers"])
        self.tokens_spent += told["tokens"]


@contextmanager
def opened(path: Path) -> Iterator[Answers]:
    """The answers in a file, there or not. Raises :class:`WorkspaceError` while another process writes to it."""
    with locked(path):
        yield Answers(path)


def _whole_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    if not path.exists():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        told = _parsed(line)
        if told is not None:
            yield told
        elif number == len(lines):
            _cut_off(path, len(line))
        else:
            raise DataError(
                "a line of the answer store is damaged",
                where=f"{path}, line {number}",
                seen=repr(line[:60]),
                allowed='{"answers": {...}, "tokens": n}',
                consequence="answers that were paid for would be asked for again",
                next_step="mend the line, or remove it: its answers are asked for again",
            )


def _parsed(line: bytes) -> Mapping[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        told = json.loads(line)
    except ValueError:
        return None
    is_whole = isinstance(told, dict) and isinstance(told.get("answers"), dict) and isinstance(told.get("tokens"), int)
    return told if is_whole else None


def _cut_off(path: Path, num_bytes: int) -> None:
    say(f"{path}: the last line was cut short; its {num_bytes:,} bytes are removed, what it held is asked for again")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - num_bytes)
        os.fsync(file.fileno())
