"""Numbers under `expected` that no evaluation of the recipe can give: told when the recipe is read, not after hours of a run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from retkd.errors import RecipeError, meant
from retkd.evaluation.names import measure_name

if TYPE_CHECKING:
    from retkd.problems import Lines
    from retkd.recipe import Recipe

GAP = "gap"
OF_GAP = ("closed", "low", "high", "p_value", "control", "student", "teacher")
"""The numbers that an evaluation tells of the gap."""
SPLITS = {"all": ("train", "dev", "test"), "evaluation": ("dev", "test")}
"""What `splits` of an evaluation may come to, of those that the collection has."""


def expected_problems(recipe: "Recipe", lines: "Lines") -> list[RecipeError]:
    """A problem for each split, system and measure of `expected` that is certainly not evaluated.

    Whether the collection has a split of those that are asked for is not known here: that is told by the run.
    """
    evaluations = [(config, list(names.values())) for config, names in _named(recipe.stages)]
    return [
        RecipeError(
            f"no evaluation of this recipe gives the {key} {seen!r}, so the run could only fail",
            where=lines.where(("expected", number, key)),
            seen=seen,
            allowed=", ".join(known) or "none: the recipe has no stage of kind evaluate",
            next_step=meant(seen, known) or "evaluate it, take this line out, or expect nothing: --set expected=[]",
        )
        for number, line in enumerate(recipe.expected)
        for key, seen, known in _missing(line, evaluations)
    ]


def _missing(line: Any, evaluations: list[tuple[Any, list[str]]]) -> Iterator[tuple[str, str, list[str]]]:
    """(key, what it says, what it may say) of one line."""
    splits = _each(names for _, names in evaluations)
    if line.split not in splits:
        yield "split", line.split, splits
    every = [config for config, _ in evaluations]
    fitting = [config for config, names in evaluations if line.split in names] or every
    systems = [*_each(config.systems for config in fitting), GAP]
    if line.system not in systems:
        yield "system", line.system, systems
    having = [config for config in fitting if line.system in config.systems] or fitting
    measures = list(OF_GAP) if line.system == GAP else _each(config.measures for config in having)
    if _shown(line.measure, line.system) not in measures:
        yield "measure", line.measure, measures


def split_names(stages: Mapping[str, Any], name: str) -> dict[str, str]:
    """Split -> its name in the summary, of the evaluation ``name``: a split of another collection has that one's name before it,
    and one that an earlier evaluation has too that of the stage, so that no evaluation hides another's numbers."""
    config = stages[name]
    before = f"{config.collection}/" if config.collection else ""
    earlier = list(stages)[: list(stages).index(name)]
    taken = [
        split
        for other in earlier
        if stages[other].kind == "evaluate" and stages[other].collection == config.collection
        for split in _asked(stages[other])
    ]
    return {split: (f"{name}/" if split in taken else "") + before + split for split in _asked(config)}


def _named(stages: Mapping[str, Any]) -> Iterator[tuple[Any, dict[str, str]]]:
    for name, config in stages.items():
        if config.kind == "evaluate":
            yield config, split_names(stages, name)


def _asked(config: Any) -> Sequence[str]:
    """The splits that an evaluation asks for."""
    asked: Sequence[str] = SPLITS.get(str(config.splits), config.splits)
    return asked


def _shown(measure: str, system: str) -> str:
    try:
        return measure if system == GAP else measure_name(measure)
    except RecipeError:
        return measure


def _each(several: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for names in several for name in names))
