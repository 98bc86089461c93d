"""What a recipe takes over from a file that it extends, and the recipe that it was written for: budgets, expected numbers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from retkd.problems import below, declares
from retkd.progress import say

if TYPE_CHECKING:
    from retkd.problems import Lines

Raw = Mapping[str, Any]


@dataclass(frozen=True)
class Origins:
    """The raw recipe of the file that wrote each budget, and of the one that wrote ``expected``, with all that such a file
    itself extends and sets."""

    budgets: Mapping[str, Raw] = field(default_factory=dict)
    expected: Raw | None = None

    def over(self, raw: Raw, extended: Raw) -> "Origins":
        """Those of a recipe over the one that it extends: what it leaves as it was keeps its origin."""
        own, others = _mapping(raw.get("budgets")), _mapping(extended.get("budgets"))
        budgets = {n: self.budgets.get(n, raw) if n in others and own[n] == others[n] else raw for n in own}
        same = raw.get("expected") == extended.get("expected") and self.expected is not None
        return Origins(budgets, self.expected if same else raw)


def fitting(budget: str, told: Raw, origin: Raw, raw: Raw, lines: "Lines", model: type[BaseModel]) -> dict[str, Any]:
    """The dotted keys of a budget without those of a part that has another kind now, which knows no such key.

    A line on standard error says which are left out. A key that the old kind did not know either stays, to be refused.
    """
    lost: dict[tuple[str, ...], list[str]] = {}
    for key in map(str, told):
        part = _replaced(key, told, origin, raw)
        path = tuple(key.split("."))
        if part is not None and declares(model, origin, path) and not declares(model, raw, path):
            lost.setdefault(part, []).append(key)
    for part, keys in lost.items():
        words = ", ".join(key.removeprefix(".".join(part) + ".") for key in keys)
        kinds = f"{_at(raw, part)['kind']} in place of {_at(origin, part)['kind']}"
        say(f"{lines.where((*part, 'kind'))}: {kinds} begins afresh, without {words} (budget {budget})")
    left_out = {key for keys in lost.values() for key in keys}
    return {key: value for key, value in told.items() if str(key) not in left_out}


def _replaced(key: str, told: Raw, origin: Raw, raw: Raw) -> tuple[str, ...] | None:
    """The outermost part above a key that has another kind than its budget was written for, and is given none by it."""
    for part in _above(tuple(key.split("."))):
        if ".".join(part) in told or ".".join((*part, "kind")) in told:
            return None
        then, now = _at(origin, part), _at(raw, part)
        kinds = [each.get("kind") for each in (then, now) if isinstance(each, Mapping)]
        if len(kinds) == 2 and None not in kinds and kinds[0] != kinds[1]:
            return part
    return None


def _above(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    return (path[:length] for length in range(1, len(path)))


def _at(value: Any, path: tuple[str, ...]) -> Any:
    """What stands under a path; None where nothing does."""
    for step in path:
        value = below(value, step)
    return value


def other_collection(origin: Raw, raw: Raw, budgeted: Raw, final: Raw) -> tuple[str, str] | None:
    """Whose the numbers under ``expected`` are and what this recipe has in its place; None where it is the same collection.

    ``origin`` is the recipe that has them; this one is ``raw`` as its file says it, ``budgeted`` with its budget, ``final``
    with all that a command line sets.
    """
    for then, now in ((origin, raw), (budgeted, final)):
        if then.get("collection") != now.get("collection"):
            return _told_apart(_mapping(then.get("collection")), _mapping(now.get("collection")))
    names = origin.get("budget"), final.get("budget")
    if names[0] != names[1] and any(
        _of_collection(each, name) for each, name in zip((origin, final), names, strict=True)
    ):
        return f"budget {names[0] or 'none'}", f"budget {names[1] or 'none'}"
    return None


def _told_apart(then: Raw, now: Raw) -> tuple[str, str]:
    """Two collections by their kinds, or else by the keys in which they differ."""
    if then.get("kind") != now.get("kind"):
        return str(then.get("kind")), str(now.get("kind"))
    keys = [key for key in {**then, **now} if then.get(key) != now.get(key)]

    def words(one: Raw) -> str:
        return " ".join(
            [str(one.get("kind")), *(f"{key} {one[key]}" if key in one else f"without {key}" for key in keys)]
        )

    return words(then), words(now)


def _of_collection(raw: Raw, budget: Any) -> bool:
    """Whether a budget changes the collection."""
    told = _mapping(_mapping(raw.get("budgets")).get(str(budget)))
    return any(str(key).split(".")[0] == "collection" for key in told)


def _mapping(value: Any) -> Raw:
    return value if isinstance(value, Mapping) else {}
