"""What the shorthands that repeat a train stage share: copies of stages, their names, where they stand in a recipe."""

import copy
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from retkd.errors import RecipeError, did_you_mean
from retkd.parts import ModelInput
from retkd.references import put, references
from retkd.students import STUDENTS
from retkd.students.adaptations import ADAPTATIONS

if TYPE_CHECKING:
    from retkd.recipe import Recipe

SCORED_BY = {"encoder": "bi_encoder", "sparse_encoder": "sparse", "late_interaction_encoder": "late_interaction"}
"""What a student represents -> the kind of teacher that scores with it."""
MINED_BY = {"encoder": "dense", "sparse_encoder": "sparse", "late_interaction_encoder": "late_interaction"}
"""What a student represents -> the kind of miner that finds its nearest documents."""


def scoring(student_kind: str, model: str) -> dict[str, str]:
    """A trained student of this kind as a teacher of a score stage."""
    return {"kind": SCORED_BY[STUDENTS[student_kind].REPRESENTS], "model": model}


def mining(student_kind: str, model: str, depth: int) -> dict[str, Any]:
    """A trained student of this kind as a miner."""
    return {"kind": MINED_BY[STUDENTS[student_kind].REPRESENTS], "depth": depth, "model": model}


def require_train(typed: "Recipe", name: str, shorthand: str, key: str) -> None:
    """Raise :class:`RecipeError` where ``shorthand`` repeats a train stage that is not there."""
    trains = [name for name, stage in typed.stages.items() if stage.kind == "train"]
    if name not in trains:
        raise RecipeError(
            f"`{shorthand}` repeats a train stage, and there is none of that name",
            where=f"{shorthand}.{key}",
            seen=name,
            allowed=", ".join(trains) or "a stage of kind train",
            next_step=did_you_mean(name, trains),
        )


def redirected(stages: Mapping[str, Any], typed: "Recipe", name: str, names: Mapping[str, str]) -> dict[str, Any]:
    """A copy of a stage that reads the stages of ``names`` under their new names; the models that it names stay."""
    stage: dict[str, Any] = copy.deepcopy(stages[name])
    for path, marker, value in references(typed.stages, name):
        if value in names and not isinstance(marker, ModelInput):
            put(stage, path, names[value])
    return stage


def going_on(student: Mapping[str, Any], base: str) -> dict[str, Any]:
    """A student that goes on from an earlier one of its kind, which has the layers that the written one keeps, and the like.

    Raises :class:`RecipeError` where it is not made of one checkpoint, or where each training makes it smaller.
    """
    if "base" not in student:
        raise RecipeError(
            "with `start: previous` each student goes on from the one before, and one of two towers has no single base",
            where="start",
            seen=f"a student of kind {student['kind']}",
            allowed="scratch",
            next_step="set `start: scratch`, or take a student of one tower",
        )
    adaptation = (student.get("adaptation") or {}).get("kind")
    if adaptation is not None and ADAPTATIONS[adaptation].SHRINKS:
        raise RecipeError(
            f"with `start: previous` each student goes on from the one before, and would {adaptation} what is left of it",
            where="start",
            seen=f"the adaptation {adaptation}",
            allowed="scratch",
            next_step="set `start: scratch`, or prune in a train stage of its own and name it as `student.base`",
        )
    brought = STUDENTS[student["kind"]].BROUGHT
    return {**{key: value for key, value in student.items() if key not in brought}, "base": base}


def require_free(stages: Mapping[str, Any], added: Iterable[str], replaced: Iterable[str], shorthand: str) -> None:
    """Raise :class:`RecipeError` where a stage that a shorthand adds would take the place of a written one."""
    taken = [name for name in added if name in stages and name not in replaced]
    if taken:
        raise RecipeError(
            f"the recipe has a stage of a name that `{shorthand}` gives to one of its own",
            where=f"stages.{taken[0]}",
            seen=taken[0],
            next_step="rename the stage",
        )


def inserted(stages: Mapping[str, Any], added: Mapping[str, Any], at: str) -> dict[str, Any]:
    """The stages with ``added`` in the place of stage ``at``."""
    found: dict[str, Any] = {}
    for name, stage in stages.items():
        found |= added if name == at else {name: stage}
    return found
