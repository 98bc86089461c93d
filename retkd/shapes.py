"""What a student asks of its base and the base's config.json denies: told before a model is loaded, where the base is here."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retkd.errors import ModelError, RecipeError
from retkd.models import local
from retkd.objectives.matryoshka import Matryoshka
from retkd.problems import Path_
from retkd.references import named_stage
from retkd.students.base import OneTransformer
from retkd.students.dense import Dense
from retkd.students.initialisation import kept

if TYPE_CHECKING:
    from retkd.problems import Lines
    from retkd.recipe import Recipe


def shape_problems(recipe: "Recipe", lines: "Lines") -> list[RecipeError]:
    """A problem for each train stage that keeps layers, or cuts to Matryoshka widths, that its base does not have."""
    return [
        RecipeError(
            error.what, where=lines.where(path), seen=error.seen, allowed=error.allowed, next_step=error.next_step
        )
        for name, config in recipe.stages.items()
        if config.kind == "train" and isinstance(config.student, OneTransformer)
        if named_stage(recipe.stages, config.student.base) is None
        and (folder := local(config.student.base)) is not None
        for path, error in _problems(("stages", name), config, folder)
    ]


def _problems(at: Path_, config: Any, folder: Path) -> Iterator[tuple[Path_, ModelError]]:
    student, shape = config.student, _read(folder / "config.json")
    num_layers = shape.get("num_hidden_layers", shape.get("n_layers"))
    if isinstance(num_layers, int):
        try:
            kept(student.layers, num_layers, student.base)
        except ModelError as error:
            yield (*at, "student", "layers"), error
    width = shape.get("hidden_size", shape.get("dim"))
    if not isinstance(width, int) or not _as_wide_as_its_base(student, folder):
        return
    for number, term in enumerate(config.objective):
        if isinstance(term, Matryoshka):
            try:
                term.require_dims(width)
            except ModelError as error:
                yield (*at, "objective", number, "dims"), error


def _as_wide_as_its_base(student: OneTransformer, folder: Path) -> bool:
    """Whether the student's vectors are hidden states of the base: nothing makes them narrower, nor puts several together."""
    told = _read(folder / "1_Pooling" / "config.json")
    modes = told.get("pooling_mode", [key for key, on in told.items() if key.startswith("pooling_mode_") and on])
    pooled = isinstance(modes, str) or len(modes) <= 1
    return isinstance(student, Dense) and not student.initialisation and (pooled or student.pooling is not None)


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none: what is wrong with the model is told when it is loaded."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
