"""Rounds (ANCE): mine again with the student of the round before, select, train on; shorthand that becomes stages.

``rounds: {count: 3}`` in a recipe with stages mine, score, select and train adds ``train_round1`` (the written train stage),
``mine_round2``, ``score_round2``, ``select_round2``, ``train_round2``, the same three of round 3, and changes ``train``, which
keeps its name and is the last round. So what indexes, evaluates and exports it stays as written.

* ``mine_roundR`` is the written mine stage with the student of round R - 1 as its miner. It mines ``train`` alone, unless
  the training looks at dev. A teacher scores each pair once, so ``score_roundR`` costs the pairs that are new.
* Overrides of the written stages reach every round, overrides of ``train_round2`` and the like that round alone.
* The controls zero_shot and contrastive are those of the train stage as it was written: its base, the first round's
  lists and, where students go on from each other, as many steps as all rounds together.
"""

import copy
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from retkd.errors import RecipeError, did_you_mean
from retkd.parts import ModelInput, Part
from retkd.references import put, references

if TYPE_CHECKING:
    from retkd.recipe import Recipe


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


def with_rounds(stages: dict[str, Any], typed: "Recipe") -> tuple[dict[str, Any], dict[str, Any]]:
    """(the raw stages with every round written out, the train stage that controls copy by its name)."""
    rounds = typed.rounds
    if rounds is None:
        return stages, {}
    chain = _chain(typed, rounds.train)
    written, added, previous = copy.deepcopy(stages[rounds.train]), {}, ""
    for number in range(1, rounds.count + 1):
        names = {name: name if number == 1 else f"{name}_round{number}" for name in chain}
        if number > 1:
            for name in reversed(chain):
                added[names[name]] = _redirected(stages, typed, name, names)
            mine = added[names[chain[-1]]]
            kind = "sparse" if "sparse_encoder" in typed.stages[rounds.train].gives else "dense"
            nearest = {"kind": kind, "depth": typed.stages[chain[-1]].miner.depth, "model": previous}
            mine["miner"] = _miner(stages[chain[-1]]["miner"], nearest, rounds)
            if typed.stages[rounds.train].evaluate_every is None:
                mine["splits"] = ["train"]
        last = number == rounds.count
        student = rounds.train if last else f"{rounds.train}_round{number}"
        added[student] = _redirected(stages, typed, rounds.train, names)
        if number > 1 and rounds.start == "previous":
            kept = {key: value for key, value in written["student"].items() if key != "layers"}
            added[student]["student"] = {**kept, "base": previous}
        previous = student
    _require_free(stages, added, rounds.train)
    if rounds.start == "previous":
        written["steps"] = rounds.count * typed.stages[rounds.train].steps
    return _inserted(stages, added, rounds.train), {rounds.train: written}


def _chain(typed: "Recipe", train: str) -> list[str]:
    """The stages that hand on candidates to the train stage, from the last to the mine stage."""
    trains = [name for name, stage in typed.stages.items() if stage.kind == "train"]
    if train not in trains:
        raise RecipeError(
            "`rounds` repeats a train stage, and there is none of that name",
            where="rounds.train",
            seen=train,
            allowed=", ".join(trains) or "a stage of kind train",
            next_step=did_you_mean(train, trains),
        )
    chain = [typed.stages[train].candidates]
    while (stage := typed.stages[chain[-1]]).kind != "mine":
        chain.append(stage.candidates)
    return chain


def _redirected(stages: dict[str, Any], typed: "Recipe", name: str, names: dict[str, str]) -> dict[str, Any]:
    """A copy of a stage that reads the stages of its round."""
    stage: dict[str, Any] = copy.deepcopy(stages[name])
    for path, marker, value in references(typed.stages, name):
        if value in names and not isinstance(marker, ModelInput):
            put(stage, path, names[value])
    return stage


def _miner(written: dict[str, Any], nearest: dict[str, Any], rounds: Rounds) -> dict[str, Any]:
    if rounds.miner == "student":
        return nearest
    return {"kind": "fused", "depth": nearest["depth"], "miners": [copy.deepcopy(written), nearest]}


def _require_free(stages: dict[str, Any], added: dict[str, Any], train: str) -> None:
    taken = [name for name in added if name in stages and name != train]
    if taken:
        raise RecipeError(
            "the recipe has a stage of a name that `rounds` gives to one of its own",
            where=f"stages.{taken[0]}",
            seen=taken[0],
            next_step="rename the stage",
        )


def _inserted(stages: dict[str, Any], added: dict[str, Any], train: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, stage in stages.items():
        found |= added if name == train else {name: stage}
    return found
