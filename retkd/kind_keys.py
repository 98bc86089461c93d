"""The keys of a kind, told from its class: name, type, default, description."""

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from retkd.parts import FileInput, Marker, ModelInput, Part, marker_of

MOST_KINDS = 8
"""Kinds that are written out; of a larger family its name is told."""


def told(part: type[Part]) -> list[tuple[str, str]]:
    """(key, what it takes) of every key but ``kind``.

    >>> from retkd.miners.bm25 import BM25
    >>> dict(told(BM25))["k1"]
    'float = 0.9'
    """
    return [(name, field_told(field)) for name, field in part.model_fields.items() if name != "kind"]


def told_below(field: Any, indent: str = "  ") -> list[tuple[str, str]]:
    """The keys of the part without a kind that a field holds, and those of the parts below it."""
    rows = []
    for name, inner in (part.model_fields if (part := _part_in(field.annotation)) else {}).items():
        rows += [(indent + name, field_told(inner)), *told_below(inner, indent + "  ")]
    return rows


def _part_in(annotation: Any) -> type[Part] | None:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return None if "kind" in annotation.model_fields else annotation
    return next((found for each in get_args(annotation) if (found := _part_in(each)) is not None), None)


def field_told(field: Any) -> str:
    """The type of a field, its default and its description."""
    words = _type(field.annotation) if (marker := marker_of(field)) is None else _named(marker)
    default = "" if field.is_required() else f" = {_value(field.get_default(call_default_factory=True))}"
    return f"{words}{default}" + (f"; {field.description}" if field.description else "")


def _named(marker: Marker) -> str:
    """What a marked field names."""
    if isinstance(marker, FileInput):
        return "a file"
    given = f"a stage that gives {' or '.join(marker.outputs)}"
    if not isinstance(marker, ModelInput):
        return given
    return (
        f"a model, or {given}, or 'partner': the model of `co_train`" if marker.or_partner else f"a model, or {given}"
    )


def _value(default: object) -> str:
    if isinstance(default, Part):
        inner = ", ".join(f"{key}: {_value(value)}" for key, value in default if value is not None)
        return f"{{{inner}}}"
    if isinstance(default, list):
        return f"[{', '.join(map(_value, default))}]"
    if default is None or isinstance(default, bool):
        return "null" if default is None else str(default).lower()
    return repr(default)


def _family(parts: Sequence[Any]) -> str | None:
    """The family whose kinds are just these."""
    from retkd.recipes import all_families

    return next((name for name, known in all_families().items() if set(parts) == set(known.values())), None)


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0])
    if origin is Literal:
        return " | ".join(map(str, inner))
    if origin in (Union, UnionType):
        if len(inner) > MOST_KINDS and (family := _family(inner)):
            return f"one of `retkd ls {family}`"
        return " | ".join(dict.fromkeys(_type(each) for each in inner))
    if isinstance(origin, type) and issubclass(origin, (list, tuple)):
        return f"list of {_type(inner[0]).removeprefix('one of ')}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping of {_type(inner[0])} to {_type(inner[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Part):
        field = annotation.model_fields.get("kind")
        if field:
            return f"{{kind: {get_args(field.annotation)[0]}}}"
        return (
            "{" + ", ".join(f"{name}: {_type(each.annotation)}" for name, each in annotation.model_fields.items()) + "}"
        )
    return "null" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))
