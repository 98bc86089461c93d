"""What a recipe asks of a model and the model's files deny: told before a model is loaded, where the model is here."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from retkd.errors import ModelError, RecipeError, in_recipe
from retkd.known_shapes import known_positions, known_stack, student_stack, student_width, vector_width
from retkd.objectives.layered import LayerObjective
from retkd.objectives.matryoshka import Matryoshka
from retkd.objectives.wrapper import Wrapper
from retkd.problems import Path_
from retkd.students.base import OneTransformer
from retkd.students.dense import Dense
from retkd.students.initialisation import kept
from retkd.students.multi_exit import MultiExit

if TYPE_CHECKING:
    from retkd.problems import Lines
    from retkd.recipe import Recipe


def shape_problems(recipe: "Recipe", lines: "Lines") -> list[RecipeError]:
    """A problem for each key of a stage that asks for layers, a width or a length that its models do not have."""
    return [
        in_recipe(error, lines.where(("stages", name, *path)))
        for name, config in recipe.stages.items()
        for path, error in _problems(recipe.stages, config)
    ]


def _problems(stages: Mapping[str, Any], config: Any) -> Iterator[tuple[Path_, ModelError]]:
    """(where in the stage, problem)."""
    if config.kind == "train" and isinstance(config.student, OneTransformer):
        yield from _of_layers(stages, config.student)
        positions = known_positions(stages, config.student.base)
        require = config.student.require_positions
        yield from _raised(("student", "max_length"), lambda: require(positions, config.student.base))
        yield from _of_terms(stages, config)
    if getattr(config, "dim", None) is not None and (width := vector_width(stages, config.model)) is not None:
        from retkd.encoders.truncation import require_narrower

        yield from _raised(("dim",), lambda: require_narrower(config.dim, width, config.model))


def _of_layers(stages: Mapping[str, Any], student: OneTransformer) -> Iterator[tuple[Path_, ModelError]]:
    base = known_stack(stages, student.base)
    if base is not None:
        yield from _raised(("student", "layers"), lambda: kept(student.layers, base.layers, student.base))
    own = student_stack(stages, student)
    if isinstance(student, MultiExit) and own is not None:
        yield from _raised(("student", "exits"), lambda: student.require_all_layers(own.layers))


def _of_terms(stages: Mapping[str, Any], config: Any) -> Iterator[tuple[Path_, ModelError]]:
    stack = student_stack(stages, config.student)
    width = student_width(stages, config.student) if isinstance(config.student, Dense) else None
    for path, term in _terms(config.objective, ("objective",)):
        if isinstance(term, LayerObjective):
            teacher = (
                student_stack(stages, config.co_train.encoder)
                if term.reads_partner
                else known_stack(stages, term.model)
            )
            for key, error in term.misfits(stack, teacher):
                yield (*path, key), error
        if isinstance(term, Matryoshka) and width is not None:
            yield from _raised((*path, "dims"), lambda term=term: term.require_dims(width))


def _terms(objective: Sequence[Any], at: Path_) -> Iterator[tuple[Path_, Any]]:
    """(where, term) of all terms, those inside others too."""
    for number, term in enumerate(objective):
        yield (*at, number), term
        if isinstance(term, Wrapper):
            yield from _terms(term.terms, (*at, number, "terms"))


def _raised(path: Path_, check: Any) -> Iterator[tuple[Path_, ModelError]]:
    """The problem that a check raises, if it does."""
    try:
        check()
    except ModelError as error:
        yield path, error
