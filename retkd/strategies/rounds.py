"""Rounds (ANCE): mine again with the student of the round before, select, train on; shorthand that becomes stages.

``rounds: {count: 3}`` in a recipe with stages mine, score, select and train adds ``train_round1`` (the written train stage),
``mine_round2``, ``score_round2``, ``select_round2``, ``train_round2``, the same three of round 3, and changes ``train``, which
keeps its name and is the last round. So what indexes, evaluates and exports it stays as written.

* ``mine_roundR`` is the written mine stage with the student of round R - 1 as its miner. It mines ``train`` alone, unless
  the training looks at dev. A teacher scores each pair once, so ``score_roundR`` costs the pairs that are new.
* With ``errors`` (UNDO) each later round scores its lists with the student before too, and sees more often the queries where
  that student's order is furthest from the teacher's. With `at_least`, a round without errors, or with as many as the one
  before, makes no step where students go on from each other: the loop has stopped.
* Overrides of the written stages reach every round, overrides of ``train_round2`` and the like that round alone.
* The controls zero_shot and contrastive are those of the train stage as it was written: its base, the first round's
  lists and, where students go on from each other, as many steps as all rounds together.
"""

import copy
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from retkd.errors import RecipeError
from retkd.parts import Part
from retkd.selection.repeats import Disagreement
from retkd.strategies.copies import going_on, inserted, mining, redirected, require_free, require_train, scoring

if TYPE_CHECKING:
    from retkd.recipe import Recipe

STUDENT = "student"
"""The column of the student before, in the score stages of rounds with `errors`."""


class Rounds(Part):
    """How often the negatives are mined anew, and what each student begins with. Xiong et al. 2021, refreshed per round."""

    count: int = Field(ge=2, description="rounds in all, the first with the written miner")
    train: str = Field(default="train", description="the train stage that is repeated; it keeps its name as the last")
    start: Literal["previous", "scratch"] = Field(
        default="previous", description="each student goes on from the one before, or begins with the written base"
    )
    miner: Literal["student", "fused"] = Field(
        default="student", description="student: its nearest documents alone; fused: with the written miner's"
    )
    errors: Disagreement | None = Field(
        default=None, description="see the queries more often that the student before ranks unlike the teacher"
    )


def with_rounds(stages: dict[str, Any], typed: "Recipe", rounds: Rounds) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the raw stages with every round written out, the train stage that controls copy by its name)."""
    chain = _chain(typed, rounds.train)
    written, added, previous = copy.deepcopy(stages[rounds.train]), {}, ""
    for number in range(1, rounds.count + 1):
        names = {name: name if number == 1 else f"{name}_round{number}" for name in chain}
        if number > 1:
            for name in reversed(chain):
                added[names[name]] = redirected(stages, typed, name, names)
            mine = added[names[chain[-1]]]
            depth = typed.stages[chain[-1]].miner.depth
            nearest = mining(typed.stages[rounds.train].student.kind, previous, depth)
            mine["miner"] = _miner(stages[chain[-1]]["miner"], nearest, rounds)
            if typed.stages[rounds.train].evaluate_every is None:
                mine["splits"] = ["train"]
            if rounds.errors is not None:
                _add_errors(added, typed, chain, names, number, previous, rounds)
        last = number == rounds.count
        student = rounds.train if last else f"{rounds.train}_round{number}"
        added[student] = redirected(stages, typed, rounds.train, names)
        if number > 1 and rounds.errors is not None:
            stop = rounds.errors.at_least is not None and rounds.start == "previous"
            added[student]["batches"] = {
                "kind": "oversampled",
                "repeats": names[_nearest(typed, chain, "select")],
                "stop": stop,
            }
        if number > 1 and rounds.start == "previous":
            added[student]["student"] = going_on(written["student"], previous)
        previous = student
    require_free(stages, added, [rounds.train], "rounds")
    if rounds.start == "previous":
        written["steps"] = rounds.count * typed.stages[rounds.train].steps
    return inserted(stages, added, rounds.train), {rounds.train: written}


def _chain(typed: "Recipe", train: str) -> list[str]:
    """The stages that hand on candidates to the train stage, from the last to the mine stage."""
    require_train(typed, train, "rounds", "train")
    chain = [typed.stages[train].candidates]
    while (stage := typed.stages[chain[-1]]).kind != "mine":
        chain.append(stage.candidates)
    return chain


def _nearest(typed: "Recipe", chain: list[str], kind: str) -> str:
    """The stage of this kind that is nearest to the train stage."""
    for name in chain:
        if typed.stages[name].kind == kind:
            return name
    raise RecipeError(
        f"`rounds.errors` needs a stage of kind {kind} between mining and training, and there is none",
        where="rounds.errors",
        seen=" <- ".join(chain),
        next_step=f"put a stage of kind {kind} there, or leave `errors` out",
    )


def _add_errors(
    added: dict[str, Any],
    typed: "Recipe",
    chain: list[str],
    names: dict[str, str],
    number: int,
    student: str,
    rounds: Rounds,
) -> None:
    """The student before as one more teacher of the round's lists, and what it gets wrong as `repeats` of its select stage."""
    score, select = (_nearest(typed, chain, kind) for kind in ("score", "select"))
    if STUDENT in typed.stages[score].teachers:
        raise RecipeError(
            f"`rounds.errors` writes the column {STUDENT!r}, and the recipe has a teacher of that name",
            where=f"stages.{score}.teachers.{STUDENT}",
            next_step="rename the teacher",
        )
    added[names[score]]["teachers"][STUDENT] = scoring(typed.stages[rounds.train].student.kind, student)
    assert rounds.errors is not None
    repeats = {**rounds.errors.model_dump(), "student": STUDENT}
    if number > 2 and rounds.errors.at_least is not None:
        repeats["before"] = f"{select}_round{number - 1}"
    added[names[select]]["repeats"] = repeats


def _miner(written: dict[str, Any], nearest: dict[str, Any], rounds: Rounds) -> dict[str, Any]:
    if rounds.miner == "student":
        return nearest
    return {"kind": "fused", "depth": nearest["depth"], "miners": [copy.deepcopy(written), nearest]}
