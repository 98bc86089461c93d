"""The source files of the running Python's standard library, without its tests."""

import os
import sysconfig
from pathlib import Path

LEFT_OUT = frozenset(
    {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__", "turtledemo", "lib-dynload"}
)
"""Folders, by name and at any depth: tests, demonstrations, and what others have installed."""


def library_root() -> Path:
    """The folder that holds the standard library."""
    return Path(sysconfig.get_path("stdlib"))


def library_files(root: Path) -> list[str]:
    """Paths of the .py files below ``root``, relative and with ``/``, sorted.

    Leaves out :data:`LEFT_OUT`, and what was generated when this Python was built (``_sysconfigdata*``, ``config-*``).
    """
    found: list[str] = []
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if name not in LEFT_OUT and not name.startswith("config-")]
        inside = Path(folder).relative_to(root)
        wanted = [name for name in names if name.endswith(".py") and not name.startswith("_sysconfigdata")]
        found += [(inside / name).as_posix() for name in wanted]
    return sorted(found)


def module_name(path: str) -> str:
    """``json/decoder.py`` -> ``json.decoder``; ``json/__init__.py`` -> ``json``."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
