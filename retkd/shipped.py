"""Files that come with retkd: ``pipelines/`` and ``indexes/``."""

from pathlib import Path

PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """``pipelines`` or ``indexes``: beside the package in a checkout, inside it when installed from a wheel."""
    beside = PACKAGE.parent / name
    return beside if (PACKAGE.parent / "pyproject.toml").is_file() and beside.is_dir() else PACKAGE / "_recipes" / name
