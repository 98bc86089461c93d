"""Teacher columns that a recipe's stages read, and whether the stages before them make such a column."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from retkd.errors import RecipeError, did_you_mean
from retkd.objectives.base import leaves

if TYPE_CHECKING:
    from retkd.problems import Lines
    from retkd.recipe import Recipe

UNKNOWN = ("sparsify",)
"""Kinds of stage whose columns are not told by their teachers alone."""


def column_problems(recipe: "Recipe", lines: "Lines") -> list[RecipeError]:
    """A problem for each column that a train, teach or select stage reads and no stage before it makes."""
    problems = []
    for name, config in recipe.stages.items():
        made = _made(recipe.stages, getattr(config, "candidates", None))
        if made is None:
            continue
        for path, teacher in _read(config):
            if teacher not in made:
                problems.append(
                    RecipeError(
                        f"no stage before {name!r} gives a teacher {teacher!r}",
                        where=lines.where(("stages", name, *path)),
                        seen=teacher,
                        allowed=", ".join(sorted(made)) or "none: its candidates come from no score stage",
                        next_step=did_you_mean(teacher, made) if made else "put a stage of kind score before it",
                    )
                )
    return problems


def _made(stages: dict[str, Any], name: str | None) -> set[str] | None:
    """The columns of a stage's candidates; None where they cannot be known from the recipe."""
    found: set[str] = set()
    while name is not None:
        config = stages.get(name)
        if config is None or config.kind in UNKNOWN:
            return None
        found |= set(getattr(config, "teachers", None) or {})
        labels = getattr(config, "labels", None)
        found |= {labels.column} if labels is not None else set()
        name = getattr(config, "candidates", None)
    return found


def _read(config: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """(where in the stage, teacher) of every column that it reads."""
    if config.kind == "select":
        if config.teacher is not None:
            yield ("teacher",), config.teacher
        for number, rule in enumerate(config.filters):
            if getattr(rule, "teacher", None) is not None:
                yield ("filters", number, "teacher"), rule.teacher
    if config.kind in ("train", "teach"):
        for number, term in enumerate(config.objective):
            for teacher in dict.fromkeys(name for leaf in leaves([term]) for name in leaf.teacher_names):
                yield ("objective", number), teacher
