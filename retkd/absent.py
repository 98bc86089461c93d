"""What a valid recipe names and this machine does not have: model folders, packages, collection folders, devices."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retkd.digests import FileDigests
from retkd.errors import MissingExtraError, ModelError
from retkd.models import resolve
from retkd.parts import Part
from retkd.references import models_of

if TYPE_CHECKING:
    from retkd.recipe import Recipe
    from retkd.stage import Runtime

OFFLINE = ModelError(
    "asked of the hub, which is set offline, and not kept here", next_step="fetch it first, or unset HF_HUB_OFFLINE"
)


def absent(recipe: "Recipe", digests: FileDigests) -> list[str]:
    """One line per thing that is not here. A hub is not asked: of its models those are told that it cannot be asked for."""
    return [*_models(recipe, digests), *_folders(recipe), *_runtime(recipe.runtime)]


def _models(recipe: "Recipe", digests: FileDigests) -> Iterator[str]:
    for ref in dict.fromkeys(ref for name in recipe.stages for ref in models_of(recipe.stages, name).values()):
        if (error := absent_model(ref, digests)) is not None:
            yield f"{ref}: {error.what}; {error.next_step}"


def absent_model(ref: str, digests: FileDigests) -> ModelError | None:
    """Why a model is not to be had, as far as is known without asking a hub; ``None`` where it is here, or a hub may have it."""
    of_hub = not ref.startswith(("package:", ".", "/", "~")) and ref.count("/") == 1
    if of_hub and not _offline():
        return None
    try:
        resolve(ref, digests)
    except ModelError as error:
        return OFFLINE if of_hub else error
    return None


def _offline() -> bool:
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


def _runtime(runtime: "Runtime") -> Iterator[str]:
    if runtime.device not in ("auto", "cpu"):
        from retkd.resources import device

        try:
            device(runtime.device)
        except ModelError as error:
            yield f"runtime.device: {error.what}; allowed: {error.allowed}"
    if runtime.executor == "ray" and find_spec("ray") is None:
        missing = MissingExtraError("ray", "ray", "runtime.executor: ray")
        yield f"{missing.what}; {missing.next_step}"


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
