"""``--set a.b.0.c=value``: dotted keys into a recipe's raw data."""

import copy
import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import yaml

from retkd.errors import RecipeError
from retkd.progress import say

if TYPE_CHECKING:
    from retkd.problems import Lines

Setting = tuple[tuple[str, ...], Any]


def parsed(item: str) -> Setting:
    """``stages.train.steps=10`` -> (("stages", "train", "steps"), 10); the value is YAML, a place in a list ``.0`` or ``[0]``.

    >>> parsed("runtime.device=cpu"), parsed("a[0].b=[1, 2]")
    ((('runtime', 'device'), 'cpu'), (('a', '0', 'b'), [1, 2]))
    """
    key, equals, value = item.partition("=")
    key = re.sub(r"\[(\d+)\]", r".\1", key.strip())
    if not equals or not all(key.split(".")):
        raise RecipeError("--set takes key=value", seen=item, allowed="dotted keys, as in stages.train.steps=200")
    try:
        return tuple(key.strip().split(".")), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError("the value of --set is not YAML", where=key, seen=value) from error


def applied(raw: Mapping[str, Any], settings: Iterable[Setting], lines: "Lines | None" = None) -> dict[str, Any]:
    """A deep copy of ``raw`` with the settings made, in order. ``lines`` tell in errors where a setting is written.

    Another ``kind`` begins that part afresh: its old keys belonged to the old kind, and a line on standard error says which
    are lost. Kinds are set first, so that the order of the settings does not matter.

    >>> applied({"collection": {"kind": "pycode", "x": 1}}, [(("collection", "kind"), "beir"), (("collection", "x"), 2)])
    {'collection': {'kind': 'beir', 'x': 2}}
    """
    changed = copy.deepcopy(dict(raw))
    settings = sorted(settings, key=lambda setting: setting[0][-1] != "kind")
    for path, value in settings:
        where = ".".join(path) if lines is None else lines.where(path)
        holder: Any = changed
        for step in path[:-1]:
            holder = _child(holder, step, where)
        if path[-1] == "kind" and isinstance(holder, dict) and holder.get("kind", value) != value:
            again = {other for other, _ in settings if other[: len(path) - 1] == path[:-1] and len(other) >= len(path)}
            _afresh(holder, value, {other[len(path) - 1] for other in again}, where)
            if lines is not None:
                lines.afresh(path, again)
        _put(holder, path[-1], value, where)
    return changed


def _afresh(holder: dict[str, Any], kind: object, again: Collection[str], where: str) -> None:
    """Empty a part of another kind; ``again`` are the keys that are about to be set anew."""
    lost = [str(key) for key in holder if key not in again]
    if lost:
        say(f"{where}: {kind} in place of {holder['kind']} begins afresh, without {', '.join(lost)}")
    holder.clear()


def _child(holder: Any, step: str, where: str) -> Any:
    if isinstance(holder, list):
        return holder[_position(holder, step, where)]
    if not isinstance(holder, dict):
        raise _not_a_mapping(holder, step, where)
    if holder.get(step) is None:
        holder[step] = {}
    return holder[step]


def _put(holder: Any, last: str, value: Any, where: str) -> None:
    if isinstance(holder, list):
        holder[_position(holder, last, where)] = value
    elif isinstance(holder, dict):
        holder[last] = value
    else:
        raise _not_a_mapping(holder, last, where)


def _position(holder: list[Any], step: str, where: str) -> int:
    if step.isdigit() and int(step) < len(holder):
        return int(step)
    raise RecipeError(
        "an override points outside a list",
        where=where,
        seen=step,
        allowed=f"0 to {len(holder) - 1}" if holder else "nothing: the list is empty",
    )


def _not_a_mapping(holder: Any, step: str, where: str) -> RecipeError:
    return RecipeError("an override goes through a value that has no keys", where=where, seen=f"{step} of {holder!r}")
