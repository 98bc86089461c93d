"""Pydantic's validation errors told in retkd's way: recipe, key, line, value seen, what is allowed, did you mean."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from retkd.allowed import allowed, choices, literals
from retkd.errors import RecipeError, did_you_mean, meant
from retkd.parts import Part, kind_of

Path_ = tuple[str | int, ...]


class Lines:
    """Where each key of a recipe stands: file and line, by the steps of its path as strings."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.places: dict[tuple[str, ...], str] = {}
        self.set_later: set[tuple[str, ...]] = set()
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            self._walk(root, ())

    def _walk(self, node: Any, at: tuple[str, ...]) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._put(key, (*at, str(key.value)))
                self._walk(value, (*at, str(key.value)))
        elif isinstance(node, yaml.SequenceNode):
            for position, value in enumerate(node.value):
                self._put(value, (*at, str(position)))
                self._walk(value, (*at, str(position)))

    def _put(self, node: Any, at: tuple[str, ...]) -> None:
        self.places[at] = f"{self.path}:{node.start_mark.line + 1}"

    def moved(self, at: tuple[str, ...], to: tuple[str, ...], note: str = "") -> None:
        """What is written at ``at`` is the value of ``to``, in the place of what was written there."""
        found = {(*to, *path[len(at) :]): place + note for path, place in self.places.items() if path[: len(at)] == at}
        self._put_over(to, {to: f"{self._nearest(at)}{note}"} | found)

    def told(self, to: tuple[str, ...], place: str) -> None:
        """The value of ``to`` does not stand in the file, but in a place of this name."""
        self._put_over(to, {to: place})

    def _put_over(self, to: tuple[str, ...], found: dict[tuple[str, ...], str]) -> None:
        kept = {path: place for path, place in self.places.items() if path[: len(to)] != to}
        self.set_later = {to} | self.set_later & {*kept}
        self.places = {to[:length]: found[to] for length in range(1, len(to))} | kept | found

    def afresh(self, kind: tuple[str, ...], again: Collection[tuple[str, ...]]) -> None:
        """The part whose key ``kind`` was set begins where that stands; of the keys below it those set ``again`` are left."""
        part = kind[:-1]

        def stays(path: tuple[str, ...]) -> bool:
            return path[: len(part)] != part or any(path[: len(key)] == key for key in again)

        place = self._nearest(kind)
        self.places = {path: place for path, place in self.places.items() if stays(path)}
        self.places[part] = place
        self.set_later &= {*self.places}

    def over(self, base: "Lines", keys: Collection[str]) -> "Lines":
        """These lines for ``keys`` of the recipe and all that is not in ``base``, the lines of ``base`` for the rest."""
        self.places = {path: place for path, place in base.places.items() if path[0] not in keys} | self.places
        self.set_later |= {path for path in base.set_later if path[0] not in keys}
        return self

    def where(self, at: Path_) -> str:
        """``recipe.yaml:12, key stages.train.steps``; the line is the nearest one that is written.

        Of what holds other keys also which of them were set elsewhere: they may be what is wrong with it.
        """
        steps = tuple(map(str, at))
        place = self._nearest(steps)
        later = [
            f"{'.'.join(path[len(steps) :])} ({self.places[path]})"
            for path in sorted(self.set_later)
            if path[: len(steps)] == steps and self.places[path] != place
        ]
        key = f", key {'.'.join(steps)}" if steps else ""
        return f"{place}{key}" + (f"; set over it: {', '.join(later)}" if later else "")

    def _nearest(self, steps: tuple[str, ...]) -> str:
        places = (self.places.get(steps[:length]) for length in range(len(steps), 0, -1))
        return next((place for place in places if place is not None), str(self.path))


def problems_of(
    error: ValidationError, model: type[BaseModel], lines: Lines, beside: Sequence[str] = ()
) -> list[RecipeError]:
    """Every error of a failed validation of ``model`` as a :class:`RecipeError`, one per key and value.

    ``beside``: keys of a file that are no fields of ``model``.

    A value that fits no member of a union fails once per member: what these say is joined by "or".
    """
    found: dict[tuple[object, object, object], RecipeError] = {}
    for each in error.errors(include_url=False):
        problem = _problem(each, model, lines, beside)
        same = (problem.where, problem.seen, problem.what if problem.seen is None else None)
        found[same] = _either(found[same], problem) if same in found else problem
    return list(found.values())


def _either(one: RecipeError, other: RecipeError) -> RecipeError:
    """One problem out of two of the same value, which fits neither of two forms."""
    return RecipeError(
        ", or: ".join(dict.fromkeys((one.what, other.what))),
        where=one.where,
        seen=one.seen,
        allowed="; or ".join(dict.fromkeys(str(each.allowed) for each in (one, other) if each.allowed)) or None,
        next_step=one.next_step or other.next_step,
    )


def _problem(error: Any, model: type[BaseModel], lines: Lines, beside: Sequence[str]) -> RecipeError:
    path, holder = _walked(error["loc"], model)
    where, seen = lines.where(path), _short(error["input"])
    match error["type"]:
        case "extra_forbidden":
            known = [*(holder.model_fields if holder else ()), *(beside if holder is model else ())]
            return RecipeError(
                f"unknown key {path[-1]!r}",
                where=where,
                allowed=f"the keys of kind {kind}: {', '.join(known)}" if (kind := _tag(holder)) else None,
                next_step=_joined({path[-1]: error["input"]}) or did_you_mean(str(path[-1]), known),
            )
        case "missing":
            few = literals(holder.model_fields[str(path[-1])].annotation) if holder else []
            return RecipeError(
                f"the key {path[-1]!r} is missing",
                where=where,
                allowed=", ".join(few) or None,
                next_step=f"`retkd ls {kind}` tells every key of it" if (kind := _tag(holder)) else None,
            )
        case "union_tag_invalid":
            known = [tag.strip().strip("'") for tag in error["ctx"]["expected_tags"].split(",")]
            return RecipeError(
                f"unknown kind {error['ctx']['tag']!r}",
                where=where,
                allowed=", ".join(known),
                next_step=did_you_mean(error["ctx"]["tag"], known),
            )
        case "union_tag_not_found":
            return RecipeError("a part must say its `kind`", where=where, seen=seen, next_step=_joined(error["input"]))
        case "literal_error" if path[-1] == "kind":
            return RecipeError(f"unknown kind {error['input']!r}", where=where, allowed=", ".join(choices(error)))
        case "string_pattern_mismatch" if path == ("name",):
            fit = re.sub(r"[^A-Za-z0-9._-]+", "-", str(error["input"])).strip("-._") or "my-recipe"
            return RecipeError(
                "the name of a recipe is of letters, digits, `.`, `_` and `-`, and begins with a letter or a digit",
                where=where,
                seen=seen,
                next_step=f"write `name: {fit}` in the recipe, or --set name={fit}",
            )
    fits = allowed(error, holder.model_fields.get(str(path[-1])) if holder and path else None)
    message = "this value does not fit" if fits else error["msg"].removeprefix("Value error, ")
    step = meant(str(error["input"]), choices(error)) if error["type"] == "literal_error" else None
    return RecipeError(message, where=where, seen=seen, allowed=fits, next_step=step)


def _joined(value: Any) -> str | None:
    """What to do about ``kind:kl`` in braces, which YAML reads as a key without a value."""
    keys = [str(key) for key, inner in value.items() if inner is None] if isinstance(value, Mapping) else []
    joined = next((key for key in keys if ":" in key), None)
    return f"put a space after the colon: {joined.replace(':', ': ', 1)}" if joined else None


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 120 else shown[:117] + "..."


def _walked(loc: Sequence[str | int], model: type[BaseModel]) -> tuple[Path_, type[BaseModel] | None]:
    """The path as written in the recipe (without pydantic's union tags) and the model that holds the last key."""
    path: list[str | int] = []
    annotation: Any = model
    holder: type[BaseModel] | None = model
    for step in loc:
        models = _models_in(annotation)
        if len(models) > 1 or (models and get_origin(_bare(annotation)) in (Union, UnionType)):
            annotation = next((m for m in models if step in (_tag(m), m.__name__)), None)
        elif models:
            holder = models[0]
            field = holder.model_fields.get(str(step))
            annotation = field.annotation if field else None
            path.append(step)
        elif not str(step).startswith(("list[", "literal[", "function-", "[key]")):
            holder, annotation = None, _element(annotation)
            path.append(step)
    return tuple(path), holder


def declares(model: type[BaseModel], value: Any, path: Sequence[str]) -> bool:
    """Whether ``model`` has a field for the last step of ``path``, by the kinds in ``value``; True where that is not told."""
    annotation: Any = model
    for step in path:
        models = _models_in(annotation)
        kind = value.get("kind") if isinstance(value, Mapping) else None
        holder = models[0] if len(models) == 1 else next((m for m in models if _tag(m) == kind), None)
        if models and (holder is None or step not in holder.model_fields):
            return holder is None
        annotation = holder.model_fields[step].annotation if holder else _element(annotation)
        value = below(value, step)
    return True


def below(value: Any, step: str) -> Any:
    """What stands under a key of a mapping or a place of a list; None where nothing does."""
    if isinstance(value, Mapping):
        return value.get(step)
    return value[int(step)] if isinstance(value, list) and step.isdigit() and int(step) < len(value) else None


def _tag(model: type[BaseModel] | None) -> str | None:
    return kind_of(model) if model and issubclass(model, Part) and "kind" in model.model_fields else None


def _element(annotation: Any) -> Any:
    bare = _bare(annotation)
    return get_args(bare)[-1] if get_origin(bare) in (dict, list, tuple) else None


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        present = [arg for arg in get_args(annotation) if arg is not type(None)]
        if len(present) == 1:
            return _bare(present[0])
    return annotation


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    bare = _bare(annotation)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return [bare]
    if get_origin(bare) in (Union, UnionType):
        return [model for arg in get_args(bare) for model in _models_in(arg)]
    return []
