"""What reads more of a training pass than its vectors: it has neither GradCache nor several processes, and is told so first."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from retkd import processes
from retkd.errors import RecipeError, in_recipe
from retkd.objectives.base import leaves
from retkd.problems import Path_
from retkd.stage import Runtime

if TYPE_CHECKING:
    from retkd.problems import Lines
    from retkd.recipe import Recipe


def pass_problems(recipe: "Recipe", lines: "Lines") -> list[RecipeError]:
    """A problem for each train stage that needs whole passes where the run keeps their vectors alone."""
    return [
        in_recipe(error, lines.where(("stages", name, *path)))
        for name, config in recipe.stages.items()
        if config.kind == "train"
        for path, what in readers(config)
        if (error := misfit(what, recipe.runtime)) is not None
    ]


def readers(config: Any) -> Iterator[tuple[Path_, str]]:
    """(where in the stage, name) of what reads inside a train stage's passes."""
    if whole := config.student.needs_whole_passes:
        adapted = getattr(config.student, "adaptation", None) is not None
        yield ("student", "adaptation") if adapted else ("student",), whole
    for number, term in enumerate(config.objective if config.steps else []):
        for leaf in leaves([term]):
            if leaf.reads_layers:
                yield ("objective", number), f"the objective {leaf.kind!r}"  # type: ignore[attr-defined]


def misfit(what: str, runtime: Runtime) -> RecipeError | None:
    """Why ``what``, which needs whole passes, cannot be trained in this run; ``None`` where it can."""
    if not runtime.grad_cache and processes.count() == 1:
        return None
    seen = "runtime.grad_cache: true" if runtime.grad_cache else f"{processes.count()} processes of torchrun"
    return RecipeError(
        f"{what} needs whole training passes, and here the vectors of a pass alone are shared or kept",
        seen=seen,
        allowed="terms that read scores and vectors, and a student of one model that is trained as it is",
        next_step="--set runtime.grad_cache=false, with smaller batches"
        if runtime.grad_cache
        else "train in one process",
    )
