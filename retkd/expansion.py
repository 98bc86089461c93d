"""Stages that a recipe implies: its strategy (retkd/strategies/), its controls, its transfer collections, what a report reads.

`controls: [bm25, zero_shot, contrastive, teacher]` in an evaluate stage is shorthand. It becomes ordinary stages and
systems, which the plan prints, `--set` reaches and a reader can write out by hand:

* bm25: a mine stage by BM25 over the evaluated splits, with the settings of the recipe's own BM25 miner;
* zero_shot: the student's train stage with no steps, and its index;
* contrastive: the system `control`, the same train stage with InfoNCE (and a sparse student's regularisers) alone, and
  its index; of a student with two heads both are the one without;
* teacher: the candidates of the score stage ranked by the teacher that the student learns from.

Each entry of `transfer` gets copies of the stages that the evaluation reads, with that collection, the models kept.
"""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from retkd.errors import RecipeError
from retkd.miners.base import Miner
from retkd.objectives import OBJECTIVES
from retkd.references import inputs_of, named_stage
from retkd.strategies import STRATEGIES, with_strategy
from retkd.strategies.copies import redirected
from retkd.students import STUDENTS

if TYPE_CHECKING:
    from retkd.recipe import Recipe

TRAINING = {"teach", "train", "choose", "partner", "select", "generate"}


def expanded(raw: Mapping[str, Any], typed: "Recipe") -> dict[str, Any]:
    """The raw recipe with implied stages written out. ``typed`` is the same recipe, validated."""
    whole = copy.deepcopy(dict(raw))
    for strategy in STRATEGIES:
        whole.pop(strategy, None)
    stages, as_written = with_strategy(whole["stages"], typed)
    evaluations = [name for name, config in typed.stages.items() if config.kind == "evaluate"]
    for name in evaluations:
        _add_controls(stages, typed, name, as_written)
    whole["stages"] = stages = _reports_last(stages)
    for collection in typed.transfer:
        for name in evaluations:
            _add_transfer(stages, typed, whole, name, collection)
    whole["stages"] = stages = _reports_last(stages)
    for stage in stages.values():
        if stage["kind"] == "report" and not stage.get("reads"):
            stage["reads"] = [other for other in stages if stages[other]["kind"] != "report"]
    return whole


def _add_controls(stages: dict[str, Any], typed: "Recipe", name: str, as_written: Mapping[str, Any]) -> None:
    """``as_written``: the train stages that a strategy has changed, as the controls are to copy them."""
    evaluation, config = stages[name], typed.stages[name]
    systems: dict[str, Any] = dict(evaluation.get("systems") or {})
    student = systems.get("student")

    def implied(label: str, stage: dict[str, Any]) -> str:
        """The name of a stage that this evaluation implies; one written by hand under that name has precedence."""
        if label in typed.stages or stages.setdefault(label, stage) == stage:
            return label
        stages[f"{label}_{name}"] = stage
        return f"{label}_{name}"

    for control in evaluation.pop("controls", None) or []:
        if control == "bm25" and "bm25" not in systems:
            systems["bm25"] = {"kind": "candidates", "candidates": implied("bm25", _bm25(stages, config))}
        elif control == "teacher" and "teacher" not in systems:
            systems["teacher"] = {"kind": "rerank", **evaluation["teacher_scores"]}
        elif control in ("zero_shot", "contrastive") and student:
            system = "control" if control == "contrastive" else control
            if system not in systems:
                stage, exit = _trained(stages, student["model"], f"stages.{name}.controls")
                change = _contrastive if control == "contrastive" else _untrained
                train = as_written.get(stage, stages[stage])
                model = implied(system, change(_plain(copy.deepcopy(train)))) + exit
                index = implied(f"{system}_index", {**copy.deepcopy(stages[student["index"]]), "model": model})
                systems[system] = {"kind": student["kind"], "model": model, "index": index}
    if systems:
        evaluation["systems"] = systems


def _trained(stages: dict[str, Any], model: str, where: str) -> tuple[str, str]:
    """The train stage of a model, and ``:MODEL`` where it is one of several of that stage."""
    stage = named_stage(stages, model)
    if stage is None:
        raise RecipeError(
            "the controls zero_shot and contrastive copy the train stage of systems.student, and its model is no stage",
            where=where,
            seen=model,
            allowed=", ".join(name for name, stage in stages.items() if stage["kind"] == "train") or "a train stage",
            next_step="name the stage that trains the student, or leave these controls out",
        )
    return stage, model[len(stage) :]


def _bm25(stages: Mapping[str, Any], evaluation: Any) -> dict[str, Any]:
    """BM25 as the recipe's own miner has it (analyzer, k1, b): a control in worse shape would flatter the student.

    Nothing is skipped or left out: that makes negatives, not a ranking.
    """
    own = next((miner for stage in stages.values() for miner in _miners(stage.get("miner"))), {})
    settings = {key: value for key, value in own.items() if key not in Miner.model_fields}
    miner = {**settings, "kind": "bm25", "depth": evaluation.depth}
    stage = {"kind": "mine", "splits": evaluation.splits, "miner": miner}
    return stage if evaluation.collection is None else {**stage, "collection": evaluation.collection}


def _miners(miner: Any) -> list[dict[str, Any]]:
    """The BM25 miners in a miner's raw data, also inside a fused one."""
    if not isinstance(miner, Mapping):
        return []
    inner = [found for each in miner.get("miners") or [] for found in _miners(each)]
    return [dict(miner), *inner] if miner.get("kind") == "bm25" else inner


def _plain(train: dict[str, Any]) -> dict[str, Any]:
    """The stage with the student that controls train."""
    student = train["student"]
    return {**train, "student": STUDENTS[student["kind"]].plain(student)}


def _untrained(train: dict[str, Any]) -> dict[str, Any]:
    """The student as initialised: nothing of how the other is trained, so that a change of that does not touch it."""
    kept = {
        key: value for key, value in train.items() if key in ("kind", "candidates", "student", "seed", "collection")
    }
    return {**kept, "objective": [{"kind": "infonce"}], "steps": 0}


def _contrastive(train: dict[str, Any]) -> dict[str, Any]:
    """The same student, candidates and steps, with InfoNCE and what keeps the student sparse, and no teacher.

    It is the recipe's own InfoNCE, also where another term wraps it: the control is the plain student.
    """
    own = [term for term in _terms(train["objective"]) if term["kind"] == "infonce"]
    term = own[0] if own else {"kind": "infonce", "temperature": STUDENTS[train["student"]["kind"]].TEMPERATURE}
    regularisers = [term for term in train["objective"] if OBJECTIVES[term["kind"]].REGULARISES]
    train.pop("co_train", None)
    return {**train, "objective": [{**term, "weight": 1.0}, *regularisers]}


def _terms(objective: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All terms, those inside others too."""
    return [found for term in objective for found in [term, *_terms(term.get("terms") or [])]]


def _add_transfer(
    stages: dict[str, Any], typed: "Recipe", whole: dict[str, Any], evaluation: str, collection: str
) -> None:
    so_far = type(typed).model_validate({**whole, "stages": stages})
    copied: dict[str, str] = {}
    _copy_names(so_far.stages, evaluation, collection, copied)
    for name, new in copied.items():
        stage = redirected(stages, so_far, name, copied)
        stage["collection"] = collection
        stage.pop("queries", None)
        if "splits" in stage or stage["kind"] in ("mine", "evaluate"):
            stage["splits"] = "evaluation"
        stages[new] = stage


def _copy_names(stages: dict[str, Any], name: str, collection: str, copied: dict[str, str]) -> None:
    if stages[name].kind in TRAINING or name in copied:
        return
    copied[name] = f"{name}-{collection}"
    for other in inputs_of(stages, name):
        _copy_names(stages, other, collection, copied)


def _reports_last(stages: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(stages.items(), key=lambda item: item[1]["kind"] == "report"))
