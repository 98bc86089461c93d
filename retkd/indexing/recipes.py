"""Find an index recipe: a file, or a name under ``indexes/``."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from retkd.errors import did_you_mean
from retkd.shipped import folder


def names() -> list[str]:
    """The index recipes that can be called by name."""
    return sorted(path.stem for path in folder("indexes").glob("*.yaml"))


def contents(value: Any, parts: Any) -> Any:
    """A mapping as it is; a name or path as what its file holds, checked against ``parts``.

    Raises :class:`ValueError`, which pydantic gathers with the recipe's other problems.
    """
    if not isinstance(value, str):
        return value
    path = _file(value)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        TypeAdapter(parts).validate_python(raw)
    except yaml.YAMLError as error:
        raise ValueError(f"the index recipe {path} is not YAML: {error}") from error
    except ValidationError as error:
        raise ValueError(f"the index recipe {path} is not valid: {_told(error)}") from error
    return raw


def _file(value: str) -> Path:
    path = Path(value).expanduser()
    if path.suffix in {".yaml", ".yml"} or path.parent != Path("."):
        if not path.is_file():
            known = ", ".join(names())
            raise ValueError(f"there is no index recipe at {path}: give a file that exists, or a name ({known})")
        return path
    path = folder("indexes") / f"{value}.yaml"
    if not path.is_file():
        raise ValueError(f"there is no index recipe named {value!r}: {did_you_mean(value, names())}")
    return path


def _told(error: ValidationError) -> str:
    told = []
    for problem in error.errors(include_url=False):
        key = ".".join(map(str, problem["loc"])) or "recipe"
        told.append(f"{key}: {problem['msg'].removeprefix('Value error, ')}")
    return "; ".join(told)
