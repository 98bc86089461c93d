"""Teacher columns that a recipe's stages read, and whether what stands before them makes such a column."""

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
    """A problem for each column that a stage reads and that neither a stage nor a teacher before it makes."""
    problems = []
    for name, config in recipe.stages.items():
        made = _made(recipe.stages, _source(config))
        if made is None:
            continue
        for path, teacher, beside in _read(config):
            if teacher not in made | beside:
                problems.append(
                    RecipeError(
                        f"no stage before {name!r} gives a teacher {teacher!r}",
                        where=lines.where(("stages", name, *path)),
                        seen=teacher,
                        allowed=", ".join(sorted(made | beside)) or "none: its candidates come from no score stage",
                        next_step=_step(config, teacher, made | beside),
                    )
                )
    return problems


def _step(config: Any, teacher: str, known: set[str]) -> str:
    if teacher in (getattr(config, "teachers", None) or {}):
        return f"write {teacher!r} above the ensemble: teachers score in the order of the recipe"
    return did_you_mean(teacher, known) if known else "put a stage of kind score before it"


def _source(config: Any) -> str | None:
    """The stage whose candidates are read."""
    scores = getattr(config, "teacher_scores", None)
    found: str | None = getattr(config if scores is None else scores, "candidates", None)
    return found


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


Read = tuple[tuple[str | int, ...], str, set[str]]
"""Where in the stage, which teacher, and the teachers of the same stage that have scored by then."""


def _read(config: Any) -> Iterator[Read]:
    """Every column that a stage reads."""
    if config.kind == "select":
        yield from _named(config, (), "teacher")
        for number, rule in enumerate(config.filters):
            yield from _of_filter(rule, ("filters", number))
    for key, name in (("sampler", "by"), ("labels", "teacher"), ("repeats", "teacher"), ("repeats", "student")):
        yield from _named(getattr(config, key, None), (key,), name)
    yield from _named(getattr(config, "teacher_scores", None), ("teacher_scores",), "teacher")
    if config.kind == "sparsify":
        for name, target in config.targets.items():
            yield from _named(target, ("targets", name), "teacher")
    if config.kind == "score":
        yield from _of_ensembles(config.teachers)
    if config.kind in ("train", "teach"):
        for number, term in enumerate(config.objective):
            for teacher in dict.fromkeys(name for leaf in leaves([term]) for name in leaf.teacher_names):
                yield ("objective", number), teacher, set()


def _named(part: Any, path: tuple[str | int, ...], key: str) -> Iterator[Read]:
    """The teacher that a part names under a key, if it has one."""
    teacher = getattr(part, key, None)
    if isinstance(teacher, str):
        yield (*path, key), teacher, set()


def _of_filter(rule: Any, path: tuple[str | int, ...]) -> Iterator[Read]:
    yield from _named(rule, path, "teacher")
    for number, teacher in enumerate(getattr(rule, "teachers", ())):
        yield (*path, "teachers", number), teacher, set()
    for number, inner in enumerate(getattr(rule, "rules", ())):
        yield from _of_filter(inner, (*path, "rules", number))


def _of_ensembles(teachers: dict[str, Any]) -> Iterator[Read]:
    before: set[str] = set()
    for name, teacher in teachers.items():
        if teacher.kind == "ensemble":
            for member in teacher.members:
                yield ("teachers", name, "members"), member, set(before)
        before.add(name)
