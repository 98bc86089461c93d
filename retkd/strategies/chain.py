"""Chains: teacher -> assistant -> ... -> student; shorthand that becomes stages.

``chain: {assistants: [{set: {student.layers: [0, 2, 3, 5]}}]}`` in a recipe with a train stage adds ``assistant1`` (the
written train stage with that change), ``assistant1_scores`` (its score for every pair of the lists, where a term reads a
column) and changes ``train``, which keeps its name: each term that read a teacher reads the assistant. No assistant is
plain distillation.

* An assistant was trained at the terms' `student_temperature` (`student_scale`), so its cosines are read at it.
* ``generations: 2`` adds two assistants that are the student itself: Born-Again networks. `set: {objective: [...]}` in the
  first assistant gives it an objective of its own, for example labels alone.
* With ``candidates`` an assistant is trained at each of these sizes, and a stage of kind choose, which has the assistant's
  name, takes one by its measure on dev and its size; its manifest says why.
* Overrides of the written train stage reach every hop, overrides of ``assistant1`` that one alone. The controls are
  those of the train stage as it was written.

Mirzadeh et al. 2020 (TAKD); Furlanello et al. 2018 (Born-Again); Han et al. 2024 (AMD), whose pruned assistants share
weights and are trained together: here each is a training of its own.
"""

import copy
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from retkd.errors import RecipeError
from retkd.objectives.base import leaves
from retkd.overrides import applied
from retkd.parts import Part
from retkd.strategies.copies import inserted, require_free, require_train, scoring

if TYPE_CHECKING:
    from retkd.recipe import Recipe

Changes = dict[str, Any]
"""Dotted key of the train stage -> value."""
OF_AN_ENCODER = {"teacher_temperature": "student_temperature", "teacher_scale": "student_scale"}
"""How a term reads an assistant's cosines: as it read the student's when the assistant was the student."""


class Assistant(Part):
    """A train stage between the teacher and the student: the written one with some keys changed."""

    set: Changes = Field(default={}, description="dotted keys of the train stage that differ")
    candidates: list[Changes] = Field(
        default=[],
        max_length=len(ascii_lowercase),
        description="further changes, one assistant each; the best is taken",
    )
    measure: str = Field(default="nDCG@10", description="on dev, of `candidates`")
    dev_queries: int = Field(default=200, ge=1)
    size_exponent: float = Field(default=0.1, ge=0.0, description="measure / parameters ** this; 0: size is no matter")


class Chain(Part):
    """The hops from the teacher to the student."""

    train: str = Field(default="train", description="the student's train stage; it keeps its name as the last hop")
    assistants: list[Assistant] = []
    generations: int = Field(default=0, ge=0, description="further assistants that are like the student itself")

    @model_validator(mode="after")
    def _chooses_among_several(self) -> "Chain":
        if any(len(assistant.candidates) == 1 for assistant in self.assistants):
            raise ValueError("`candidates` are two or more: put the keys of a single assistant under `set`")
        return self


def with_chain(stages: dict[str, Any], typed: "Recipe", chain: Chain) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the raw stages with every hop written out, the train stage that controls copy by its name)."""
    require_train(typed, chain.train, "chain", "train")
    written = stages[chain.train]
    prefix = "assistant" if chain.train == "train" else f"{chain.train}_assistant"
    added: dict[str, Any] = {}
    teacher, kind = None, ""
    for number, assistant in enumerate([*chain.assistants, *[Assistant()] * chain.generations], 1):
        added |= _scores(written, typed.stages[chain.train], teacher, kind)
        learner = applied(_taught(written, typed.stages[chain.train], teacher), _settings(assistant.set))
        # A choice is among dense students alone.
        teacher, kind = f"{prefix}{number}", "dense" if assistant.candidates else str(learner["student"]["kind"])
        added |= _hop(teacher, learner, assistant)
    added |= _scores(written, typed.stages[chain.train], teacher, kind)
    added[chain.train] = _taught(written, typed.stages[chain.train], teacher)
    require_free(stages, added, [chain.train], "chain")
    return inserted(stages, added, chain.train), {chain.train: copy.deepcopy(written)}


def _hop(name: str, learner: dict[str, Any], assistant: Assistant) -> dict[str, Any]:
    """The stages that make one assistant: a training, or several and the choice among them."""
    if not assistant.candidates:
        return {name: learner}
    named = dict(zip(ascii_lowercase, assistant.candidates, strict=False))
    tried = {f"{name}_{letter}": applied(learner, _settings(each)) for letter, each in named.items()}
    told = assistant.model_dump(include={"measure", "dev_queries", "size_exponent"})
    choice = {"kind": "choose", "models": list(tried), "candidates": learner["candidates"], **told}
    return {**tried, name: choice | _of_collection(learner)}


def _settings(changes: Changes) -> list[tuple[tuple[str, ...], Any]]:
    return [(tuple(key.split(".")), value) for key, value in changes.items()]


def _scores(written: dict[str, Any], train: Any, teacher: str | None, kind: str) -> dict[str, Any]:
    """The stage that scores the lists with an assistant, a student of this kind, where a term reads a column."""
    if teacher is None or not any(term.teacher_name for term in leaves(train.objective)):
        return {}
    stage = {"kind": "score", "candidates": written["candidates"], "teachers": {teacher: scoring(kind, teacher)}}
    return {f"{teacher}_scores": stage | _of_collection(written)}


def _of_collection(stage: dict[str, Any]) -> dict[str, Any]:
    return {"collection": stage["collection"]} if stage.get("collection") else {}


def _taught(written: dict[str, Any], train: Any, teacher: str | None) -> dict[str, Any]:
    """The train stage with this teacher in the place of the written ones."""
    stage = copy.deepcopy(written)
    if teacher is None:
        return stage
    if any(term.teacher_name for term in leaves(train.objective)):
        stage["candidates"] = f"{teacher}_scores"
    for raw, term in zip(stage["objective"], train.objective, strict=True):
        _redirect(raw, term, teacher)
    return stage


def _redirect(raw: dict[str, Any], term: Any, teacher: str) -> None:
    """Let a raw term, and those that it wraps, read this teacher."""
    _require_one_teacher(term)
    for inner, each in zip(raw.get("terms", []), getattr(term, "terms", []), strict=True):
        _redirect(inner, each, teacher)
    read = [] if term.reads_partner else [key for key in ("teacher", "model") if getattr(term, key, None)]
    raw |= dict.fromkeys(read, teacher)
    if read and not getattr(term, "standardise", False):
        fields = type(term).model_fields
        told = {own: getattr(term, of) for own, of in OF_AN_ENCODER.items() if {own, of} <= fields.keys()}
        raw |= {own: getattr(value, "learned_from", value) for own, value in told.items()}


def _require_one_teacher(term: Any) -> None:
    if len(term.teacher_names) > 1 or len(term.encoders) > 1:
        raise RecipeError(
            "a term with several teachers cannot pass from one assistant to the next",
            where="chain",
            seen=f"{term.kind} of {', '.join(term.teacher_names or term.encoders)}",
            allowed="terms that read one teacher",
            next_step="combine the teachers in the score stage (kind ensemble), and let the term read the ensemble",
        )
