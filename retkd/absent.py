"""What a valid recipe names and this machine does not have: model folders, packages, collection folders."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retkd.digests import FileDigests
from retkd.errors import ModelError
from retkd.models import resolve
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
    for key, config in used.items():
        path = getattr(config, "path", None)
        if isinstance(path, Path) and not path.exists():
            yield f"{key}.path: {path} does not exist"
