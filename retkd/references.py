"""Stage names inside a recipe: do they exist, do they give what is asked, and in which order must the stages run."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retkd.columns import column_problems
from retkd.errors import RecipeError, did_you_mean
from retkd.parts import FileInput, ModelInput, marked
from retkd.problems import Lines
from retkd.stages import STAGES

if TYPE_CHECKING:
    from retkd.recipe import Recipe

KIND_OF_SYSTEM = {
    "sparse_encoder": "sparse",
    "asymmetric_sparse_encoder": "sparse",
    "sparse_index": "sparse",
    "late_interaction_encoder": "late_interaction",
    "late_interaction_index": "late_interaction",
}
INDEX_OF_SYSTEM = {"sparse": "inverted", "late_interaction": "maxsim"}
PACKAGE = "package"
"""``package:NAME`` is a model inside an installed package, whatever the stages are called."""


def references(stages: dict[str, Any], name: str) -> Iterator[tuple[tuple[str | int, ...], Any, str]]:
    """(path, marker, reference) of each field of stage ``name`` that names a stage, existing or not."""
    for path, marker, value in narrowed(stages[name]):
        if isinstance(marker, FileInput) or (isinstance(marker, ModelInput) and named_stage(stages, value) is None):
            continue
        yield path, marker, value


def named_stage(stages: Mapping[str, Any], reference: str) -> str | None:
    """The stage that a reference names: ``STAGE``, or ``STAGE:MODEL`` for one of several models of a stage; else None."""
    if reference in stages:
        return reference
    stage, _, model = reference.partition(":")
    return stage if model and stage in stages and stage != PACKAGE else None


def named_model(stages: Mapping[str, Any], reference: str) -> tuple[str, str] | None:
    """(stage, folder in its artifact) of ``STAGE:MODEL``; None for any other reference."""
    stage = named_stage(stages, reference)
    if stage is None or stage == reference:
        return None
    return stage, stages[stage].folders[reference[len(stage) + 1 :]]


def model_folders(stages: Mapping[str, Any], name: str) -> dict[str, tuple[str, str]]:
    """Reference -> (stage, folder in its artifact) of each model ``STAGE:MODEL`` that stage ``name`` reads."""
    found = {value: named_model(stages, value) for _, _, value in references(dict(stages), name)}
    return {value: told for value, told in found.items() if told is not None}


def narrowed(config: Any) -> Iterator[tuple[tuple[str | int, ...], Any, Any]]:
    """The marked fields of a stage. Where other fields decide which models will do, its ``wants`` says so by dotted key."""
    wants: dict[str, ModelInput] = getattr(config, "wants", {})
    for path, marker, value in marked(config):
        yield path, wants.get(".".join(map(str, path)), marker), value


def put(holder: Any, path: tuple[str | int, ...], value: Any) -> None:
    """Set what stands at a path of a stage's raw data."""
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value


def inputs_of(stages: dict[str, Any], name: str) -> list[str]:
    """The stages that stage ``name`` reads, each once, in the order they are written."""
    return list(dict.fromkeys(named_stage(stages, value) or value for _, _, value in references(stages, name)))


def queries_of(stages: dict[str, Any], name: str) -> str | None:
    """The stage whose generated queries are the split train for stage ``name``: its own, or that of its candidates.

    Candidates of another collection bring none along.
    """
    config = stages[name]
    own = getattr(config, "queries", None)
    candidates = getattr(config, "candidates", None)
    if own is not None or candidates not in stages or stages[candidates].collection != config.collection:
        return own
    return queries_of(stages, candidates)


def models_of(stages: dict[str, Any], name: str) -> dict[str, str]:
    """The models outside the recipe that stage ``name`` reads: dotted key -> as written."""
    found = {".".join(map(str, at)): v for at, marker, v in marked(stages[name]) if isinstance(marker, ModelInput)}
    return {key: value for key, value in found.items() if named_stage(stages, value) is None}


def files_of(stages: dict[str, Any], name: str) -> dict[str, str]:
    """The files that stage ``name`` reads: dotted key -> path as written."""
    found = [(path, value) for path, marker, value in marked(stages[name]) if isinstance(marker, FileInput)]
    return {".".join(map(str, path)): value for path, value in found}


def run_order(stages: dict[str, Any]) -> list[str]:
    """Every stage after those it reads; otherwise as written. Raises :class:`RecipeError` on a cycle."""
    ordered: list[str] = []
    open_: list[str] = []

    def visit(name: str) -> None:
        if name in ordered:
            return
        if name in open_:
            circle = " -> ".join([*open_[open_.index(name) :], name])
            raise RecipeError("stages read each other in a circle", where="stages", seen=circle)
        open_.append(name)
        for other in inputs_of(stages, name):
            visit(other)
        open_.pop()
        ordered.append(name)

    for name in stages:
        visit(name)
    return ordered


def reference_problems(recipe: "Recipe", lines: Lines) -> list[RecipeError]:
    """Unknown stages, stages that give something else, unknown transfer collections and views, circles."""
    problems = []
    for name, config in recipe.stages.items():
        for path, marker, value in references(recipe.stages, name):
            problem = _problem(recipe.stages, marker, value, lines.where(("stages", name, *path)))
            problems += [problem] if problem else []
        for path, marker, value in narrowed(config):
            if isinstance(marker, ModelInput) and named_stage(recipe.stages, value) is None and _is_no_model(value):
                fitting = [other for other in recipe.stages if _gives(recipe.stages, other, marker)]
                where = lines.where(("stages", name, *path))
                problems.append(
                    RecipeError(
                        f"there is no stage and no folder {value!r}",
                        where=where,
                        seen=value,
                        allowed="a stage that trains a model, a folder, package:NAME/FOLDER, or org/name of a hub",
                        next_step=did_you_mean(value, fitting) if fitting else None,
                    )
                )
        others = (*recipe.transfer, *recipe.views)
        if config.collection is not None and config.collection not in others:
            where = lines.where(("stages", name, "collection"))
            known = ", ".join(others) or "none: the recipe has neither `transfer` nor `views`"
            problems.append(
                RecipeError("no such transfer collection or view", where=where, seen=config.collection, allowed=known)
            )
    if not problems:
        try:
            run_order(recipe.stages)
        except RecipeError as error:
            return [error]
        problems += column_problems(recipe, lines)
        problems += [problem for name in recipe.stages for problem in _index_problems(recipe, name, lines)]
    return problems


def _is_no_model(ref: str) -> bool:
    """Whether a bare word names neither a folder here, nor a package, nor a hub id."""
    return "/" not in ref and not ref.startswith(f"{PACKAGE}:") and not Path(ref).is_dir()


def _gives(stages: dict[str, Any], name: str, marker: ModelInput) -> bool:
    return bool(set(outputs_of(stages[name])) & set(marker.outputs))


def outputs_of(config: Any) -> tuple[str, ...]:
    """What a stage gives: of all that its kind can give, what its configuration says it does."""
    given: tuple[str, ...] = getattr(config, "gives", STAGES[config.kind].OUTPUTS)
    return given


def _problem(stages: dict[str, Any], marker: Any, value: str, where: str) -> RecipeError | None:
    wanted = " or ".join(marker.outputs)
    fitting = [name for name in stages if _gives(stages, name, marker)]
    if isinstance(marker, ModelInput) and value not in stages:
        return _model_problem(stages, marker, value, where)
    if value not in stages:
        return RecipeError(
            f"there is no stage {value!r}", where=where, seen=value, next_step=did_you_mean(value, fitting)
        )
    given = outputs_of(stages[value])
    if not _gives(stages, value, marker):
        return RecipeError(
            f"the stage {value!r} does not give {wanted}",
            where=where,
            seen=f"{value} is of kind {stages[value].kind}, which gives {', '.join(given)}",
            allowed=", ".join(fitting) or f"a stage that gives {wanted}",
            next_step=getattr(marker, "why", None) or _read_as(given),
        )
    return None


def _read_as(given: tuple[str, ...]) -> str | None:
    """How an evaluation reads what is no dense encoder."""
    kind = next((KIND_OF_SYSTEM[each] for each in given if each in KIND_OF_SYSTEM), None)
    return f"a system of kind {kind} reads it, an index recipe {INDEX_OF_SYSTEM[kind]} holds it" if kind else None


def _index_problems(recipe: "Recipe", name: str, lines: Lines) -> list[RecipeError]:
    """A system that encodes queries by another model than the documents of its index: they would lie in different spaces."""
    problems = []
    for system, told in getattr(recipe.stages[name], "systems", {}).items():
        model = getattr(told, "model", None)
        index = recipe.stages.get(str(getattr(told, "index", "")))
        held = getattr(index, "model", None)
        if held is None or _whole(recipe.stages, held) == _whole(recipe.stages, str(model)):
            continue
        student = getattr(recipe.stages.get(str(model)), "student", None)
        if student is None or student.stored_documents != held:
            problems.append(
                RecipeError(
                    f"the system {system!r} searches an index of another model's documents",
                    where=lines.where(("stages", name, "systems", system)),
                    seen=f"model {model}, and {told.index} is of {held}",
                    allowed=f"an index stage with `model: {model}`",
                    next_step="queries and documents would lie in different spaces: name the index of this model",
                )
            )
    return problems


def _whole(stages: dict[str, Any], reference: str) -> str:
    """The reference, or the stage alone where it names the model that the stage itself stands for: its last exit."""
    stage, _, model = reference.partition(":")
    return stage if model and getattr(stages.get(stage), "folders", {}).get(model) == "model" else reference


def _model_problem(stages: dict[str, Any], marker: ModelInput, value: str, where: str) -> RecipeError | None:
    """What is wrong with ``STAGE:MODEL``, of a stage that is there."""
    stage, _, model = value.partition(":")
    given = getattr(stages[stage], "folders", {})
    if model not in given:
        return RecipeError(
            f"the stage {stage!r} gives no model {model!r}",
            where=where,
            seen=value,
            allowed=", ".join([stage, *(f"{stage}:{name}" for name in given)]),
            next_step=did_you_mean(model, given) if given else "a student of kind multi_exit gives one for each exit",
        )
    return _problem(stages, marker, stage, where)
