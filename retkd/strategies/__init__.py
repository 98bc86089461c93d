"""The shorthands that repeat a train stage, of which a recipe has at most one: rounds, chain, alternate."""

from typing import TYPE_CHECKING, Any

from retkd.strategies.alternation import with_cycles
from retkd.strategies.chain import with_chain
from retkd.strategies.rounds import with_rounds

if TYPE_CHECKING:
    from retkd.recipe import Recipe

STRATEGIES: dict[str, Any] = {"rounds": with_rounds, "chain": with_chain, "alternate": with_cycles}
"""Key of a recipe -> what writes its stages out."""


def with_strategy(stages: dict[str, Any], typed: "Recipe") -> tuple[dict[str, Any], dict[str, Any]]:
    """(the raw stages with the recipe's strategy written out, the train stages that controls copy by their names)."""
    for name, written_out in STRATEGIES.items():
        if getattr(typed, name) is not None:
            return written_out(stages, typed, getattr(typed, name))  # type: ignore[no-any-return]
    return stages, {}


def named(recipe: Any) -> list[str]:
    """The strategies that a recipe has."""
    return [name for name in STRATEGIES if getattr(recipe, name) is not None]
