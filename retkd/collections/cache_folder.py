"""What a collection keeps between runs: files and folders that appear whole or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def published(target: Path, fill: Callable[[Path], None]) -> Path:
    """``target``, a folder that ``fill`` has filled. Filled beside and renamed, unless it is there already.

    When two processes fill it at once, the first to finish stands and the other's copy is removed.
    """
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:24]}-"))
    try:
        fill(beside)
        beside.chmod(0o755)
        os.rename(beside, target)
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return target


@contextmanager
def renamed_into_place(target: Path) -> Iterator[Path]:
    """A path beside ``target`` to write to; renamed to ``target`` when the block ends well, else removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:24]}-")
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        beside.chmod(0o644)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def write_json(target: Path, value: Any) -> None:
    """Write ``value`` as JSON with sorted keys, atomically."""
    with renamed_into_place(target) as beside:
        beside.write_text(json.dumps(value, sort_keys=True, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The value that :func:`write_json` wrote, or ``None`` when there is no such file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
