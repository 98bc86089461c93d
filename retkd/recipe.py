"""A recipe: one YAML file that says the whole chain. Read, overridden, expanded, validated; all errors come together."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from retkd.collections import AnyCollection
from retkd.errors import RecipeError, did_you_mean
from retkd.expansion import expanded
from retkd.overrides import Setting, applied, parsed
from retkd.parts import Part
from retkd.problems import Lines, problems_of
from retkd.recipes import located
from retkd.references import reference_problems
from retkd.stage import Runtime
from retkd.stages import AnyStage
from retkd.strategies import named
from retkd.strategies.alternation import Alternate
from retkd.strategies.chain import Chain
from retkd.strategies.rounds import Rounds

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


TAKEN = ("artifacts", "store", "cache", "history")
"""Folders of a workspace (retkd/workspace.py)."""


class Expected(Part):
    """A number that the run must reach: exact within float noise, within ``tolerance``, or the run fails (exit 3)."""

    split: str = "test"
    system: str = Field(default="student", description="a system of the evaluation, or `gap` with measure `closed`")
    measure: str = "nDCG@10"
    value: float
    tolerance: float = Field(default=0.0, ge=0.0)


class Recipe(Part):
    """The typed recipe. ``stages`` holds the written stages and those that a strategy, controls and transfer collections add."""

    name: Name
    seed: int = Field(default=13, ge=0, lt=2**32, description="of every stage that draws at random")
    takes: str | None = Field(default=None, description="how long it takes and on what, said when the run begins")
    collection: AnyCollection
    transfer: dict[Name, AnyCollection] = Field(default={}, description="collections to evaluate on without training")
    views: dict[Name, AnyCollection] = Field(
        default={},
        description="the collection's ids with other texts: a language, a rewrite; a stage reads one by `collection`",
    )
    stages: dict[Name, AnyStage] = Field(min_length=1)
    rounds: Rounds | None = Field(default=None, description="mine again with the student; written out as stages")
    chain: Chain | None = Field(
        default=None, description="teacher assistants, earlier generations; written out as stages"
    )
    alternate: Alternate | None = Field(
        default=None, description="student and teacher teach each other in turn; written out as stages"
    )
    runtime: Runtime = Runtime()
    expected: list[Expected] = []
    budget: str | None = Field(default=None, description="which entry of `budgets` applies")
    budgets: dict[str, dict[str, Any]] = Field(default={}, description="budget -> dotted key -> value")

    @field_validator("name")
    @classmethod
    def _not_a_folder_of_the_workspace(cls, name: str) -> str:
        if name in TAKEN:
            raise ValueError(f"a recipe cannot be named {name}: the workspace has a folder of that name")
        return name

    @model_validator(mode="after")
    def _one_strategy(self) -> "Recipe":
        if len(found := named(self)) > 1:
            raise ValueError(
                f"a recipe has at most one of rounds, chain and alternate, and this one has {' and '.join(found)}"
            )
        return self

    @field_validator("views")
    @classmethod
    def _not_a_transfer(cls, views: dict[str, Any], told: Any) -> dict[str, Any]:
        twice = [name for name in views if name in (told.data.get("transfer") or {})]
        if twice:
            raise ValueError(f"{twice[0]} is a transfer collection already: give the view another name")
        return views

    def seed_of(self, stage: str) -> int:
        """The seed that a stage runs with."""
        own = self.stages[stage].seed
        return self.seed if own is None else own

    def collection_of(self, stage: str) -> Any:
        """The collection that a stage reads."""
        name = self.stages[stage].collection
        return self.collection if name is None else {**self.transfer, **self.views}[name]


def load(path: Path, overrides: Iterable[str] = (), seed: int | None = None) -> Recipe:
    """The recipe in a file, with its budget and the ``key=value`` overrides applied.

    Overrides win over the budget, the budget over the file. Raises :class:`RecipeError` with every problem found.
    """
    text = _text(path)
    raw = _whole(path, text)
    _mapping(raw, "stages", path)
    settings = [parsed(item) for item in overrides]
    if seed is not None:
        settings.append((("seed",), seed))
    raw = applied(raw, _budget(path, applied(raw, [s for s in settings if s[0][0] in ("budget", "budgets")])))
    late = [setting for setting in settings if _of_implied_stage(raw, settings, setting)]
    raw = applied(raw, [setting for setting in settings if setting not in late])
    lines = Lines(path, text)
    typed = _checked(_validated(raw, lines), lines)
    return _checked(_validated(_late(expanded(raw, typed), late), lines), lines)


def _of_implied_stage(raw: Mapping[str, Any], settings: list[Setting], setting: Setting) -> bool:
    """Whether an override speaks of no written stage: of one that a strategy, controls or transfer add, or a misspelt one."""
    path = setting[0]
    new = {each[0][1] for each in settings if each[0][0] == "stages" and each[0][2:] == ("kind",)}
    return path[0] == "stages" and len(path) > 2 and path[1] not in {*(raw.get("stages") or {}), *new}


def _late(whole: dict[str, Any], late: list[Setting]) -> dict[str, Any]:
    for setting in late:
        if setting[0][1] not in whole["stages"]:
            raise RecipeError(
                f"the recipe has no stage {setting[0][1]!r}",
                where=f"--set {'.'.join(setting[0])}",
                allowed=", ".join(whole["stages"]),
                next_step=did_you_mean(setting[0][1], whole["stages"]),
            )
    return applied(whole, late)


def _checked(recipe: Recipe, lines: Lines) -> Recipe:
    problems = reference_problems(recipe, lines)
    if problems:
        raise RecipeError(f"the recipe {lines.path} cannot be run: {_count(problems)}", problems=problems)
    return recipe


def _whole(path: Path, text: str, below: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The raw recipe; with ``extends: FILE``, that file's keys with this file's on top, then the dotted keys of ``set``."""
    raw = _with_environment(_parsed_yaml(path, text), path)
    changes = [(tuple(str(key).split(".")), value) for key, value in _mapping(raw, "set", path).items()]
    raw.pop("set", None)
    extended = raw.pop("extends", None)
    if extended is not None:
        base = _extended(path, str(extended))
        if base in below:
            raise RecipeError("recipes extend each other in a circle", where=path, seen=" -> ".join(map(str, below)))
        if "stages" in raw:
            raise RecipeError(
                "a recipe that extends another cannot have `stages`: they would replace all of the other's",
                where=f"{path}, key stages",
                next_step="put what differs under `set`, as in `set: {stages.train.steps: 10}`; a new stage goes there whole",
            )
        raw = {**_whole(base, _text(base), (*below, path.resolve())), **raw}
    return applied(raw, changes)


def _extended(path: Path, name: str) -> Path:
    """The file beside the recipe, or the recipe that comes with retkd under that name (for a copy made elsewhere)."""
    beside = (path.parent / name).resolve()
    if beside.is_file():
        return beside
    try:
        return located(Path(Path(name).name)).resolve()
    except RecipeError as error:
        raise RecipeError(
            "the recipe that this one extends is not there",
            where=f"{path}, key extends",
            seen=name,
            allowed="a file beside it, or a name that `retkd ls` shows",
            next_step=error.next_step,
        ) from None


def _with_environment(value: Any, path: Path) -> Any:
    """Strings with ``${NAME}`` filled in from the environment; an unset name is an error, never an empty string."""
    if isinstance(value, dict):
        return {key: _with_environment(inner, path) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_environment(inner, path) for inner in value]
    if not isinstance(value, str):
        return value
    for name in re.findall(r"\$\{(\w+)\}", value):
        if name not in os.environ:
            raise RecipeError(
                f"the recipe reads the environment variable {name}, which is not set",
                where=path,
                seen=value,
                next_step=f"export {name}=..., or override the key with --set",
            )
        value = value.replace(f"${{{name}}}", os.environ[name])
    return value


def _text(path: Path) -> str:
    if not path.is_file():
        raise RecipeError(
            "there is no such recipe",
            where=path,
            next_step="`retkd ls` lists the recipes that come with retkd, `retkd cp quickstart my.yaml` copies one",
        )
    return path.read_text(encoding="utf-8")


class _NoKeyTwice(yaml.SafeLoader):
    """YAML in which a mapping may not hold a key twice: of two seeds the later one would win in silence."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice in one mapping", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _parsed_yaml(path: Path, text: str) -> dict[str, Any]:
    try:
        raw = yaml.load(text, Loader=_NoKeyTwice)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise RecipeError("the recipe is not YAML", where=where, seen=getattr(error, "problem", error)) from error
    if not isinstance(raw, Mapping):
        raise RecipeError("a recipe is a mapping with name, collection and stages", where=path, seen=type(raw).__name__)
    return dict(raw)


def _budget(path: Path, raw: Mapping[str, Any]) -> list[tuple[tuple[str, ...], Any]]:
    name, budgets = raw.get("budget"), _mapping(raw, "budgets", path)
    if name is None:
        return []
    if not isinstance(name, str) or name not in budgets:
        raise RecipeError(
            f"the recipe has no budget {name!r}",
            where=f"{path}, key budget",
            seen=name,
            allowed=", ".join(budgets) or "none: the recipe has no `budgets`",
            next_step=did_you_mean(name, budgets),
        )
    return [(tuple(str(key).split(".")), value) for key, value in _mapping(budgets, name, path, "budgets.").items()]


def _mapping(holder: Mapping[str, Any], key: str, path: Path, above: str = "") -> Mapping[str, Any]:
    """What stands under a key that must hold a mapping; nothing at all is an empty one."""
    value = holder.get(key)
    if value is not None and not isinstance(value, Mapping):
        raise RecipeError(
            f"`{above}{key}` must be a mapping of keys to values", where=f"{path}, key {above}{key}", seen=repr(value)
        )
    return value or {}


def _validated(raw: Mapping[str, Any], lines: Lines) -> Recipe:
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        problems = problems_of(error, Recipe, lines)
        raise RecipeError(f"the recipe {lines.path} is not valid: {_count(problems)}", problems=problems) from None


def _count(problems: list[Any]) -> str:
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
