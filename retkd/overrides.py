"""``--set a.b.0.c=value``: dotted keys into a recipe's raw data."""

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from retkd.errors import RecipeError

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


def applied(raw: Mapping[str, Any], settings: Iterable[Setting]) -> dict[str, Any]:
    """A deep copy of ``raw`` with the settings made, in order.

    Another ``kind`` begins that part afresh: its old keys belonged to the old kind. Kinds are set first, so that the
    order of the settings does not matter.

    >>> applied({"collection": {"kind": "pycode", "x": 1}}, [(("collection", "kind"), "beir")])
    {'collection': {'kind': 'beir'}}
    """
    changed = copy.deepcopy(dict(raw))
    for path, value in sorted(settings, key=lambda setting: setting[0][-1] != "kind"):
        holder: Any = changed
        for step in path[:-1]:
            holder = _child(holder, step, path)
        _put(holder, path[-1], value, path)
    return changed


def _child(holder: Any, step: str, path: tuple[str, ...]) -> Any:
    if isinstance(holder, list):
        return holder[_position(holder, step, path)]
    if not isinstance(holder, dict):
        raise _not_a_mapping(holder, step, path)
    if holder.get(step) is None:
        holder[step] = {}
    return holder[step]


def _put(holder: Any, last: str, value: Any, path: tuple[str, ...]) -> None:
    if isinstance(holder, list):
        holder[_position(holder, last, path)] = value
    elif isinstance(holder, dict):
        if last == "kind" and holder.get("kind", value) != value:
            holder.clear()
        holder[last] = value
    else:
        raise _not_a_mapping(holder, last, path)


def _position(holder: list[Any], step: str, path: tuple[str, ...]) -> int:
    if step.isdigit() and int(step) < len(holder):
        return int(step)
    raise RecipeError(
        "an override points outside a list",
        where=".".join(path),
        seen=step,
        allowed=f"0 to {len(holder) - 1}" if holder else "nothing: the list is empty",
    )


def _not_a_mapping(holder: Any, step: str, path: tuple[str, ...]) -> RecipeError:
    return RecipeError(
        "an override goes through a value that has no keys", where=".".join(path), seen=f"{step} of {holder!r}"
    )
