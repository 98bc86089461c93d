"""The recipes and index recipes that come with retkd, and every kind that a recipe can name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retkd.errors import RecipeError, did_you_mean
from retkd.shipped import folder


def located(path: Path) -> Path:
    """The file itself, or the recipe that comes with retkd under this name. Raises :class:`RecipeError`."""
    if path.is_file():
        return path
    known = dict(_recipes())
    name = path.as_posix().removeprefix("pipelines/").removesuffix(".yaml")
    if name in known:
        return known[name]
    raise RecipeError(
        "there is no such recipe",
        where=path,
        allowed="a file, or a name that `retkd ls` shows",
        next_step=did_you_mean(name, known),
    )


def _recipes() -> Iterator[tuple[str, Path]]:
    root = folder("pipelines")
    for path in sorted(root.rglob("*.yaml")):
        yield path.relative_to(root).with_suffix("").as_posix(), path


def headline(path: Path) -> str:
    """The first comment line of a YAML file: its purpose."""
    first = path.read_text(encoding="utf-8").splitlines()[0]
    return first.removeprefix("#").strip().removeprefix("Purpose:").strip() if first.startswith("#") else ""


def listed() -> list[tuple[str, str]]:
    """(name, purpose) of every recipe."""
    return [(name, headline(path)) for name, path in _recipes()]


def listed_indexes() -> list[tuple[str, str]]:
    """(name, purpose) of every index recipe."""
    return [(path.stem, headline(path)) for path in sorted(folder("indexes").glob("*.yaml"))]


def kinds() -> list[tuple[str, str]]:
    """(family, its kinds)."""
    from retkd.collections import COLLECTIONS
    from retkd.exporters import EXPORTERS
    from retkd.generators import GENERATORS
    from retkd.llms import LLMS
    from retkd.miners import MINERS
    from retkd.objectives import OBJECTIVES
    from retkd.selection import FILTERS, SAMPLERS
    from retkd.stages import STAGES
    from retkd.students import STUDENTS
    from retkd.teachers import TEACHERS

    families: dict[str, Any] = {
        "stages": STAGES,
        "collections": COLLECTIONS,
        "miners": MINERS,
        "teachers": TEACHERS,
        "llms": LLMS,
        "generators": GENERATORS,
        "filters": FILTERS,
        "samplers": SAMPLERS,
        "students": STUDENTS,
        "objectives": OBJECTIVES,
        "exporters": EXPORTERS,
    }
    return [(family, ", ".join(known)) for family, known in families.items()]
