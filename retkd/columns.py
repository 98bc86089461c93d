"""Teacher columns that a recipe's stages read: whether the stages before them make such a column, on a scale that will do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from retkd.errors import RecipeError, did_you_mean
from retkd.objectives.base import leaves

if TYPE_CHECKING:
    from retkd.problems import Lines
    from retkd.recipe import Recipe

UNKNOWN = ("sparsify",)
"""Kinds of stage whose columns are not told by their teachers alone."""


Made = dict[str, Sequence[str]]
"""Column -> the scales that it may be on; none where that is known after scoring alone."""


@dataclass(frozen=True)
class Read:
    """A column that a stage reads: where in the stage, what reads it, on which scales it can, and the rule for others."""

    path: tuple[str | int, ...]
    teacher: str
    reader: str = ""
    scales: Sequence[str] = ()
    rule: str = ""
    beside: Made = field(default_factory=dict)
    """Columns of the same stage that are there by then."""


def column_problems(recipe: "Recipe", lines: "Lines") -> list[RecipeError]:
    """A problem for each column that a stage reads and that neither a stage nor a teacher before it makes, or makes on a
    scale that its reader cannot use: that is better known before a language model has ranked for hours."""
    problems = []
    for name, config in recipe.stages.items():
        before = _made(recipe.stages, _source(config))
        if before is None:
            continue
        for read in _read(config):
            made, where = before | read.beside, lines.where(("stages", name, *read.path))
            if read.teacher not in made:
                problems.append(_missing(name, config, read, made, where))
            elif read.scales and made[read.teacher] and not set(read.scales) & set(made[read.teacher]):
                problems.append(_on_another_scale(read, made[read.teacher], where))
    return problems


def _source(config: Any) -> str | None:
    """The stage whose candidates are read."""
    scores = getattr(config, "teacher_scores", None)
    found: str | None = getattr(config if scores is None else scores, "candidates", None)
    return found


def _missing(name: str, config: Any, read: Read, made: Made, where: str) -> RecipeError:
    step = did_you_mean(read.teacher, made) if made else "put a stage of kind score before it"
    if read.teacher in (getattr(config, "teachers", None) or {}):
        step = f"write {read.teacher!r} above the ensemble: teachers score in the order of the recipe"
    return RecipeError(
        f"no stage before {name!r} gives a teacher {read.teacher!r}",
        where=where,
        seen=read.teacher,
        allowed=", ".join(sorted(made)) or "none: its candidates come from no score stage",
        next_step=step,
    )


def _on_another_scale(read: Read, scales: Sequence[str], where: str) -> RecipeError:
    return RecipeError(
        f"{read.reader} cannot use the scores of teacher {read.teacher!r}",
        where=where,
        seen="scale " + " or ".join(scales),
        allowed=", ".join(read.scales),
        next_step=read.rule,
    )


def _made(stages: dict[str, Any], name: str | None) -> Made | None:
    """The columns of a stage's candidates; None where they cannot be known from the recipe."""
    found: Made = {}
    while name is not None:
        config = stages.get(name)
        if config is None or config.kind in UNKNOWN:
            return None
        labels = getattr(config, "labels", None)
        own = {labels.column: ("rank",)} if labels is not None else {}
        own |= {teacher: told.scales for teacher, told in (getattr(config, "teachers", None) or {}).items()}
        found = own | found
        name = getattr(config, "candidates", None)
    return found


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
        yield from _of_terms(("objective",), config.objective)
    if getattr(config, "co_train", None) is not None:
        yield from _of_terms(("co_train", "objective"), config.co_train.objective)


def _named(part: Any, path: tuple[str | int, ...], key: str, *told: Any) -> Iterator[Read]:
    """The teacher that a part names under a key, if it has one."""
    teacher = getattr(part, key, None)
    if isinstance(teacher, str):
        yield Read((*path, key), teacher, *told)


def _of_filter(rule: Any, path: tuple[str | int, ...]) -> Iterator[Read]:
    told = (f"the filter {rule.kind!r}", getattr(rule, "SCALES", ()), getattr(rule, "RULE", ""))
    yield from _named(rule, path, "teacher", *told)
    for number, teacher in enumerate(getattr(rule, "teachers", ())):
        yield Read((*path, "teachers", number), teacher)
    for number, inner in enumerate(getattr(rule, "rules", ())):
        yield from _of_filter(inner, (*path, "rules", number))


def _of_ensembles(teachers: dict[str, Any]) -> Iterator[Read]:
    before: Made = {}
    for name, teacher in teachers.items():
        if teacher.kind == "ensemble":
            for member in teacher.members:
                yield Read(("teachers", name, "members"), member, beside=dict(before))
        before[name] = teacher.scales


def _of_terms(path: tuple[str | int, ...], objective: Sequence[Any]) -> Iterator[Read]:
    for number, term in enumerate(objective):
        inner: list[Any] = leaves([term])
        each = {(name, leaf.kind): leaf for leaf in inner for name in leaf.teacher_names}
        for (teacher, kind), leaf in each.items():
            yield Read((*path, number), teacher, f"the objective {kind!r}", leaf.scales, leaf.RULE)
