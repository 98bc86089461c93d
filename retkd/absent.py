"""What a valid recipe names and this machine does not have: model folders, packages, collection folders."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retkd.digests import FileDigests
from retkd.errors import ModelError
from retkd.models import resolve
from retkd.parts import Part
from retkd.references import models_of

if TYPE_CHECKING:
    from retkd.recipe import Recipe


def absent(recipe: "Recipe", digests: FileDigests) -> list[str]:
    """One line per thing that is not here. Hub ids are not asked for: that would need the network."""
    return [*_models(recipe, digests), *_folders(recipe)]


def _models(recipe: "Recipe", digests: FileDigests) -> Iterator[str]:
    for ref in dict.fromkeys(ref for name in recipe.stages for ref in models_of(recipe.stages, name)):
        if ref.startswith(("package:", ".", "/", "~")) or ref.count("/") != 1:
            try:
                resolve(ref, digests)
            except ModelError as error:
                yield f"{ref}: {error.what}; {error.next_step}"


def _folders(recipe: "Recipe") -> Iterator[str]:
    used: dict[str, Any] = {"collection": recipe.collection, **{f"transfer.{n}": c for n, c in recipe.transfer.items()}}
    used |= {f"views.{name}": config for name, config in recipe.views.items()}
    for key, path in (found for name, config in used.items() for found in _paths(name, config)):
        if not path.exists():
            yield f"{key}: {path} does not exist"


def _paths(key: str, value: object) -> Iterator[tuple[str, Path]]:
    """(dotted key, path) of every path in a collection, also in those that it is made of."""
    if isinstance(value, Path):
        yield key, value.expanduser()
    elif isinstance(value, (Part, Mapping)):
        for name, inner in value.items() if isinstance(value, Mapping) else value:
            yield from _paths(f"{key}.{name}", inner)
