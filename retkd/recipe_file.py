"""A recipe as its file says it: YAML with ``extends``, ``set``, ``budgets`` and the environment filled in, not yet typed."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from retkd.errors import RecipeError, did_you_mean
from retkd.inherited import Origins, fitting, other_collection
from retkd.overrides import Setting, applied
from retkd.problems import Lines
from retkd.progress import say
from retkd.recipes import located, text_of

BESIDE = ("extends", "set")
"""Keys of a recipe file that are no keys of a recipe: they say how to make it out of another."""


@dataclass
class Draft:
    """A raw recipe and where its keys stand. ``late`` waits for the stages that the recipe implies."""

    raw: dict[str, Any]
    lines: Lines
    late: list[Setting] = field(default_factory=list)
    origins: Origins = field(default_factory=Origins)

    def mapping(self, key: str, holder: Mapping[str, Any] | None = None, above: str = "") -> Mapping[str, Any]:
        """What stands under a key that must hold a mapping; nothing at all is an empty one."""
        value = (self.raw if holder is None else holder).get(key)
        if value is not None and not isinstance(value, Mapping):
            raise RecipeError(
                f"`{above}{key}` must be a mapping of keys to values",
                where=self.lines.where((*above.split(".")[:-1], key)),
                seen=repr(value),
            )
        return value or {}

    def settings(self, told: Mapping[str, Any], *at: str) -> list[Setting]:
        """The dotted keys that are written at ``at``; their lines become those of the keys that they set."""
        found, note = [], f" (budget {at[1]})" if at[0] == "budgets" else ""
        for key, value in told.items():
            path = tuple(str(key).split("."))
            self.lines.moved((*at, str(key)), path, note)
            found.append((path, value))
        return found

    def override(self, options: Mapping[str, Sequence[Setting]], model: type[BaseModel]) -> None:
        """Make the settings of a command line, by the option that gives them, over those of the budget.

        ``model`` tells which keys the parts of a recipe have.
        """
        settings = [each for given in options.values() for each in given]
        self._tell(options)
        budget = self.budget(settings, model)
        self._tell(options)
        written = self.raw
        self.set(budget)
        budgeted = self.raw
        self.set(settings)
        if self.raw.get("expected") and not any(path[0] == "expected" for path, _ in settings):
            self._expect_of(other_collection(self.origins.expected or written, written, budgeted, self.raw))

    def _expect_of(self, others: tuple[str, str] | None) -> None:
        """Expect no numbers that are those of another collection than this recipe has."""
        if others is not None:
            where = self.lines.where(("expected",))
            say(f"{where}: expected numbers are those of {others[0]}; they are not held against {others[1]}")
            self.raw = {**self.raw, "expected": []}

    def _tell(self, options: Mapping[str, Sequence[Setting]]) -> None:
        for option, given in options.items():
            for path, _ in given:
                self.lines.told(path, option)

    def set(self, settings: Iterable[Setting]) -> None:
        """Make the settings; those of stages that are not written have to wait until they are known."""
        settings = list(settings)
        written = [path for path, _ in settings if path[0] == "stages" and len(path) > 1]
        new = {path[1] for path in written if path[2:] in ((), ("kind",))}
        known = {*self.mapping("stages"), *new}
        late = [each for each in settings if each[0][0] == "stages" and len(each[0]) > 2 and each[0][1] not in known]
        self.raw = applied(self.raw, [each for each in settings if each not in late], self.lines)
        self.late += late

    def astray(self, whole: Mapping[str, Any]) -> list[RecipeError]:
        """A problem for each setting of a stage that the recipe neither has nor implies; ``whole`` has all its stages."""
        return [
            RecipeError(
                f"the recipe has no stage {path[1]!r}",
                where=self.lines.where(path),
                allowed=", ".join(whole["stages"]),
                next_step=did_you_mean(path[1], whole["stages"]),
            )
            for path, _ in self.late
            if path[1] not in whole["stages"]
        ]

    def set_late(self, whole: dict[str, Any]) -> dict[str, Any]:
        """The recipe with all its stages and the settings that waited for them."""
        return applied(whole, self.late, self.lines)

    def budget(self, overrides: Iterable[Setting], model: type[BaseModel]) -> list[Setting]:
        """The settings of the budget that the recipe, or one of the overrides, names."""
        chosen = applied(self.raw, [each for each in overrides if each[0][0] in ("budget", "budgets")])
        name, budgets = chosen.get("budget"), self.mapping("budgets", chosen)
        if name is None:
            return []
        if not isinstance(name, str) or name not in budgets:
            raise RecipeError(
                f"the recipe has no budget {name!r}",
                where=self.lines.where(("budget",)),
                seen=name,
                allowed=", ".join(budgets) or "none: the recipe has no `budgets`",
                next_step=did_you_mean(name, budgets),
            )
        told = self.mapping(name, budgets, "budgets.")
        origin = self.origins.budgets.get(name, self.raw)
        return self.settings(fitting(name, told, origin, self.raw, self.lines, model), "budgets", name)


def drafted(path: Path, below: tuple[Path, ...] = ()) -> Draft:
    """The recipe in a file; with ``extends: FILE``, that file's keys with this file's on top, then the dotted keys of ``set``.

    A recipe that extends another and has no name is named after its file.
    """
    text = _text(path)
    raw = _with_environment(_parsed_yaml(path, text), path)
    draft = Draft(raw, Lines(path, text))
    changes = draft.mapping("set")
    raw.pop("set", None)
    extended, other = raw.pop("extends", None), Draft({}, draft.lines)
    if extended is not None:
        base = _extended(path, str(extended))
        if base in below:
            raise RecipeError("recipes extend each other in a circle", where=path, seen=" -> ".join(map(str, below)))
        if "stages" in raw:
            raise RecipeError(
                "a recipe that extends another cannot have `stages`: they would replace all of the other's",
                where=draft.lines.where(("stages",)),
                next_step="put what differs under `set`, as in `set: {stages.train.steps: 10}`; a new stage goes there whole",
            )
        other = drafted(base, (*below, path.resolve()))
        if "takes" in raw and "budget" in raw:
            _forget_takes(other.raw, raw["budget"])
        draft = Draft({**other.raw, "name": path.stem, **raw}, draft.lines.over(other.lines, {*raw, "set"}), other.late)
        if "name" not in raw:
            draft.lines.told(("name",), f"{path}, which has no `name` and so takes that of its file")
    draft.set(draft.settings(changes, "set"))
    draft.origins = other.origins.over(draft.raw, other.raw)
    return draft


def _forget_takes(raw: dict[str, Any], budget: Any) -> None:
    """A recipe that picks a budget of another one and says how long it takes knows better than that budget."""
    budgets = raw.get("budgets")
    if isinstance(budgets, Mapping) and isinstance(budget, str) and isinstance(budgets.get(budget), Mapping):
        kept = {key: value for key, value in budgets[budget].items() if key != "takes"}
        raw["budgets"] = {**budgets, budget: kept}


def _extended(path: Path, name: str) -> Path:
    """The file beside the recipe, or the recipe that comes with retkd under that name (for a copy made elsewhere)."""
    beside = (path.parent / name).resolve()
    if beside.is_file():
        return beside
    try:
        return located(Path(*(part for part in Path(name).parts if part != ".."))).resolve()
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
    return text_of(path)


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
