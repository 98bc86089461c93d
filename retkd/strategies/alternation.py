"""Alternation (Trans-Encoder): a student teaches its teacher, which teaches the next student; shorthand that becomes stages.

The written stages are the first cycle: from a model that is there before any training, over whatever it teaches, to a train
stage. ``alternate: {cycles: 3, students: {base: train}}`` repeats all stages between the model ``base`` and ``train``; in
cycle 2, ``train_cycle1`` stands where ``base`` stood, and so on. Cycles 2 and 3 are ``score_cycle2``, ``teach_cycle2``,
``train_cycle2``, ... ; ``train`` keeps its name and is the best student on dev (a stage of kind choose), or the last.

* Several students learn from each other: ``students: {base: train, other: train_other}``, with an ensemble in the score
  stages (calibration raw: the mean of their scores). No label is read but those of dev in the choice.
* A mined table that ``base`` mined is mined again by each student; where another miner made it, it stays.
* ``cycles: 0`` publishes ``base`` unchanged as ``train``.
* Overrides of the written stages reach every cycle, overrides of ``train_cycle2`` and the like that cycle alone.

Liu et al. 2022 (Trans-Encoder). The choice is by a ranking measure on dev; theirs is the rank correlation with graded pairs.
"""

import copy
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from retkd.errors import RecipeError
from retkd.parts import FileInput, Part, marked
from retkd.references import inputs_of, put, run_order
from retkd.strategies.copies import going_on, inserted, require_free, require_train

if TYPE_CHECKING:
    from retkd.recipe import Recipe

TRAINED = {("train", ("student", "base")), ("teach", ("base",))}
"""(kind, path) of the fields that name what a training begins with."""


class Alternate(Part):
    """How many cycles, whose place each student takes, and with what the trainings of a later cycle begin."""

    cycles: int = Field(ge=0, description="in all, the written one among them; 0: no training at all")
    students: dict[str, str] = Field(
        min_length=1, description="the model before the first cycle -> the train stage that takes its place in the next"
    )
    start: Literal["scratch", "previous"] = Field(
        default="scratch", description="each training begins with its written base, or goes on from the cycle before"
    )
    keep: Literal["best", "last"] = Field(
        default="best", description="which cycle's student is published; best is by dev"
    )
    measure: str = Field(default="nDCG@10", description="of `keep: best`")
    dev_queries: int = Field(default=200, ge=1, description="of `keep: best`")

    @property
    def chooses(self) -> bool:
        """Whether there are several students to choose from."""
        return self.keep == "best" and self.cycles > 1


def with_cycles(stages: dict[str, Any], typed: "Recipe", alternate: Alternate) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the raw stages with every cycle written out, the train stages that controls copy by their names)."""
    trains = list(alternate.students.values())
    for base, train in alternate.students.items():
        require_train(typed, train, "alternate", f"students.{base}")
    body = _body(typed, alternate)
    written = {train: copy.deepcopy(stages[train]) for train in trains}
    added: dict[str, Any] = {}
    for number in range(1, alternate.cycles + 1):
        for name in body:
            new = _named(name, number, trains, alternate)
            added[new] = _copied(stages, typed, alternate, body, name, number)
    if alternate.cycles == 0:
        return {
            **stages,
            **{train: {"kind": "choose", "models": [base]} for base, train in alternate.students.items()},
        }, written
    if alternate.chooses:
        added |= {train: _choice(alternate, written[train], train) for train in trains}
    require_free(stages, added, body, "alternate")
    found = inserted({name: stage for name, stage in stages.items() if name not in body[:-1]}, added, body[-1])
    if alternate.start == "previous":
        for train in trains:
            written[train]["steps"] = alternate.cycles * typed.stages[train].steps
    return found, written


def _body(typed: "Recipe", alternate: Alternate) -> list[str]:
    """The stages between a model before the first cycle and a student, in the order in which they run."""
    read: set[str] = set()
    waiting = list(alternate.students.values())
    while waiting:
        name = waiting.pop()
        if name not in read and name not in alternate.students:
            read.add(name)
            waiting += inputs_of(typed.stages, name)
    found: list[str] = []
    left = [name for name in typed.stages if name in read]
    while fitting := [n for n in left if set(_named_by(typed, n)) & {*alternate.students, *found}]:
        found += fitting
        left = [name for name in left if name not in found]
    for base, train in alternate.students.items():
        if train not in found:
            raise RecipeError(
                "`alternate` repeats the stages between a model and a train stage, and nothing leads from one to the other",
                where=f"alternate.students.{base}",
                seen=f"{train} reads no stage that reads {base}",
                allowed="a train stage that learns from a teacher that learned from this model",
                next_step="score the lists with the model, teach on these scores, score with what was taught, and train on that",
            )
    return [name for name in run_order(typed.stages) if name in found]


def _named_by(typed: "Recipe", name: str) -> list[str]:
    """The stages and models that a stage names."""
    return [value for _, marker, value in marked(typed.stages[name]) if not isinstance(marker, FileInput)]


def _named(name: str, number: int, trains: list[str], alternate: Alternate) -> str:
    """The name of a stage in a cycle: trainings are numbered from the first, all others keep theirs in it."""
    if name in trains:
        return name if number == alternate.cycles and not alternate.chooses else f"{name}_cycle{number}"
    return name if number == 1 else f"{name}_cycle{number}"


def _copied(
    stages: dict[str, Any], typed: "Recipe", alternate: Alternate, body: list[str], name: str, number: int
) -> dict[str, Any]:
    """A stage of a cycle, which reads the stages of its cycle and the students of the one before."""
    trains = list(alternate.students.values())
    stage: dict[str, Any] = copy.deepcopy(stages[name])
    for path, marker, value in marked(typed.stages[name]):
        begins = (stage["kind"], path) in TRAINED
        if isinstance(marker, FileInput):
            continue
        if value in body and not begins:
            put(stage, path, _named(value, number, trains, alternate))
        elif number > 1 and value in alternate.students and not begins:
            put(stage, path, _named(alternate.students[value], number - 1, trains, alternate))
    if number > 1 and alternate.start == "previous":
        before = _named(name, number - 1, trains, alternate)
        if stage["kind"] == "train":
            stage["student"] = going_on(stage["student"], before)
        elif stage["kind"] == "teach":
            stage["base"] = before
    return stage


def _choice(alternate: Alternate, written: dict[str, Any], train: str) -> dict[str, Any]:
    """The stage that takes the student's name: the best of all cycles."""
    models = [f"{train}_cycle{number}" for number in range(1, alternate.cycles + 1)]
    told = alternate.model_dump(include={"measure", "dev_queries"})
    return {"kind": "choose", "models": models, "candidates": written["candidates"], **told}
