"""A recipe: one YAML file that says the whole chain. Read, overridden, expanded, validated; all errors come together."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from retkd.collections import AnyCollection
from retkd.errors import RecipeError
from retkd.expansion import expanded
from retkd.expected import expected_problems
from retkd.overrides import parsed
from retkd.parts import Part
from retkd.problems import Lines, problems_of
from retkd.recipe_file import BESIDE, drafted
from retkd.references import reference_problems
from retkd.shapes import shape_problems
from retkd.stage import Runtime
from retkd.stages import AnyStage
from retkd.strategies import named
from retkd.strategies.alternation import Alternate
from retkd.strategies.chain import Chain
from retkd.strategies.rounds import Rounds
from retkd.whole_passes import pass_problems

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

    _lines: Lines | None = PrivateAttr(default=None)

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

    def where(self, *path: str | int) -> str:
        """Where a key stands: file and line, the option that set it, or the recipe's name where it was read from no file."""
        return self._lines.where(path) if self._lines else f"recipe {self.name}, key {'.'.join(map(str, path))}"

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
    draft = drafted(path)
    draft.override(
        {"--set": [parsed(item) for item in overrides], "--seed": [] if seed is None else [(("seed",), seed)]}, Recipe
    )
    lines = draft.lines
    typed = _validated(draft.raw, lines)
    _require(reference_problems(typed, lines), lines)
    whole = expanded(draft.raw, typed)
    _require([*draft.astray(whole), *training_problems(typed, lines)], lines)
    recipe = _validated(draft.set_late(whole), lines)
    _require(
        reference_problems(recipe, lines) or [*training_problems(recipe, lines), *expected_problems(recipe, lines)],
        lines,
    )
    recipe._lines = lines
    return recipe


def training_problems(recipe: Recipe, lines: Lines) -> list[RecipeError]:
    """What the models of a recipe deny, and what its runtime denies them."""
    return [*shape_problems(recipe, lines), *pass_problems(recipe, lines)]


def _require(problems: list[RecipeError], lines: Lines) -> None:
    """Raise :class:`RecipeError` with all problems where there are any."""
    if problems:
        raise RecipeError(f"the recipe {lines.path} cannot be run: {_count(problems)}", problems=problems)


def _validated(raw: Mapping[str, Any], lines: Lines) -> Recipe:
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        problems = problems_of(error, Recipe, lines, BESIDE)
        raise RecipeError(f"the recipe {lines.path} is not valid: {_count(problems)}", problems=problems) from None


def _count(problems: list[Any]) -> str:
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
