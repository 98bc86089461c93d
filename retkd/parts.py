"""A part: a frozen, typed configuration that also does the work, picked by ``kind`` from a plain dict."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, ClassVar, Literal, Union, get_args

from pydantic import BaseModel, ConfigDict, Field

from retkd.errors import RetkdError


class Part(BaseModel):
    """Base of every configuration in a recipe: frozen, unknown keys forbidden, NaN and infinity refused.

    ``LATER`` names fields that came after results were published without them: at their default they stay out of keys, so
    that those results still stand. ``REVISION`` is counted up where the same fields give other results than before: from 2 on
    it is in keys, so that what was made wrongly stands no more.
    """

    LATER: ClassVar[tuple[str, ...]] = ()
    REVISION: ClassVar[int] = 1

    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False, arbitrary_types_allowed=True
    )


@dataclass(frozen=True)
class StageInput:
    """Marks a field that names another stage of the recipe. ``outputs`` lists what that stage may give."""

    outputs: tuple[str, ...]


@dataclass(frozen=True)
class ModelInput:
    """Marks a field that names a model: a stage that trains one, a folder, ``package:NAME`` or a hub id.

    ``outputs`` lists what a stage that is named here may give; ``why`` tells what other key decides that. ``or_partner``:
    the word ``partner`` here is no reference, whatever a stage is called, but the model of the same stage's `co_train`.
    """

    outputs: tuple[str, ...]
    why: str | None = None
    or_partner: bool = False


PARTNER = "partner"
"""What a term calls the model that `co_train` trains beside the student."""


@dataclass(frozen=True)
class FileInput:
    """Marks a field that names a file of the user's: its content, not its path, enters the stage's key."""


Candidates = Annotated[str, StageInput(("candidates",))]
"""The name of a stage that publishes a candidates table."""
Queries = Annotated[str, StageInput(("queries",))]
"""The name of a stage that publishes training queries."""
Index = Annotated[str, StageInput(("index",))]
"""The name of a stage that publishes an index of dense vectors."""
SparseIndex = Annotated[str, StageInput(("sparse_index",))]
"""The name of a stage that publishes an inverted index of term weights."""
LateInteractionIndex = Annotated[str, StageInput(("late_interaction_index",))]
"""The name of a stage that publishes an index of token vectors."""
Encoder = Annotated[str, ModelInput(("encoder", "asymmetric_encoder"))]
"""A sentence-transformers encoder, of one tower or two: stage name, folder, ``package:NAME`` or hub id."""
LayerEncoder = Annotated[
    str,
    ModelInput(
        ("encoder",), "layers are those of one transformer for queries and documents: name a dense encoder", True
    ),
]
"""A sentence-transformers encoder of one tower: stage name, folder, ``package:NAME`` or hub id; or ``partner``."""
SparseEncoder = Annotated[str, ModelInput(("sparse_encoder", "asymmetric_sparse_encoder"))]
"""A sentence-transformers sparse encoder (SPLADE), of one tower or two: stage name, folder, ``package:NAME`` or hub id."""
CrossEncoder = Annotated[str, ModelInput(("cross_encoder",))]
"""A sequence-classification model with one score: stage name, folder, ``package:NAME`` or hub id."""
UniEncoder = Annotated[str, ModelInput(("uni_encoder",))]
"""What `teach` makes with ``head: uni``: stage name, folder or hub id."""
Beca = Annotated[str, ModelInput(("beca",))]
"""What `teach` makes with ``head: beca``: stage name, folder or hub id."""
LateInteractionEncoder = Annotated[str, ModelInput(("late_interaction_encoder", "encoder"))]
"""A multi-vector encoder (ColBERT), or a dense one for its token states: stage name, folder, ``package:NAME`` or hub id."""
TokenVectorEncoder = Annotated[str, ModelInput(("late_interaction_encoder",))]
"""A multi-vector encoder (ColBERT): stage name, folder, ``package:NAME`` or hub id."""
RETRIEVERS = (
    "encoder",
    "asymmetric_encoder",
    "sparse_encoder",
    "asymmetric_sparse_encoder",
    "late_interaction_encoder",
)
"""What a stage gives that encodes queries and documents apart."""
Retriever = Annotated[str, ModelInput(RETRIEVERS)]
"""An encoder of any kind, as the rest of the part reads it: stage name, folder, ``package:NAME`` or hub id."""
TRANSFORMERS = ("encoder", "cross_encoder", "uni_encoder", "beca")
AnyModel = Annotated[str, ModelInput(TRANSFORMERS)]
"""Any transformer checkpoint: stage name, folder, ``package:NAME`` or hub id."""
SparseBase = Annotated[str, ModelInput((*TRANSFORMERS, "sparse_encoder"))]
"""Any transformer checkpoint, or a sparse encoder: stage name, folder, ``package:NAME`` or hub id."""
LateInteractionBase = Annotated[str, ModelInput((*TRANSFORMERS, "late_interaction_encoder"))]
"""Any transformer checkpoint, or a multi-vector encoder: stage name, folder, ``package:NAME`` or hub id."""
LanguageModel = Annotated[str, ModelInput(("language_model",))]
"""A causal language model: folder, ``package:NAME`` or hub id."""

DataFile = Annotated[str, FileInput()]
"""A file that the part reads, such as a run or a prompt: its path. It must be there when a run begins."""

Marker = StageInput | ModelInput | FileInput


def marked(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Marker, Any]]:
    """Every marked field below ``value`` that refers to something, depth first: (path, marker, field value)."""
    if isinstance(value, Part):
        for name, field in type(value).model_fields.items():
            inner = getattr(value, name)
            marker = marker_of(field)
            if marker is None:
                yield from marked(inner, (*path, name))
            else:
                yield from _each(inner, (*path, name), marker)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from marked(inner, (*path, key))
    elif isinstance(value, (list, tuple)):
        for position, inner in enumerate(value):
            yield from marked(inner, (*path, position))


def _each(
    value: Any, path: tuple[str | int, ...], marker: Marker
) -> Iterator[tuple[tuple[str | int, ...], Marker, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _each(inner, (*path, key), marker)
    elif isinstance(value, (list, tuple)):
        for position, inner in enumerate(value):
            yield from _each(inner, (*path, position), marker)
    elif refers(marker, value):
        yield path, marker, value


def refers(marker: Marker, value: object) -> bool:
    """Whether the value of a marked field names something: it is neither ``None`` nor ``partner`` where it may be that."""
    partner = isinstance(marker, ModelInput) and marker.or_partner and value == PARTNER
    return value is not None and not partner


def marker_of(field: Any) -> Marker | None:
    """The marker of a pydantic field, also inside ``X | None``, ``list[X]`` and ``dict[str, X]``."""
    for item in field.metadata:
        if isinstance(item, Marker):
            return item
    return _marker_in(field.annotation)


def _marker_in(annotation: Any) -> Marker | None:
    for item in getattr(annotation, "__metadata__", ()):
        if isinstance(item, Marker):
            return item
    return next((found for arg in get_args(annotation) if (found := _marker_in(arg)) is not None), None)


def substituted(value: object, replace: Callable[[Marker, Any], Any]) -> Any:
    """Plain JSON data of a part in which every marked value ``v`` became ``replace(marker, v)``."""

    def deep(inner: object, marker: Marker | None) -> Any:
        if isinstance(inner, Part):
            fields = {
                name: field for name, field in type(inner).model_fields.items() if not _untold(inner, name, field)
            }
            told = {name: deep(getattr(inner, name), marker_of(field)) for name, field in fields.items()}
            return told if inner.REVISION == 1 else {**told, "part_revision": inner.REVISION}
        if isinstance(inner, Mapping):
            return {str(key): deep(each, marker) for key, each in inner.items()}
        if isinstance(inner, (list, tuple)):
            return [deep(each, marker) for each in inner]
        return replace(marker, inner) if marker is not None and refers(marker, inner) else inner

    return deep(value, None)


def _untold(part: Part, name: str, field: Any) -> bool:
    """Whether a field says nothing: it came later and has its default."""
    return name in part.LATER and getattr(part, name) == field.get_default(call_default_factory=True)


def registry(family: str, *classes: type[Part]) -> dict[str, type[Part]]:
    """``kind`` -> class: the given classes, then plug-ins of the entry-point group ``retkd`` named ``FAMILY.KIND``.

    Raises :class:`RetkdError` for a plug-in that is named after another kind than its class answers to.
    """
    kinds: dict[str, type[Part]] = {}
    plugged = [_plugged(e) for e in entry_points(group="retkd") if e.name.startswith(family + ".")]
    for cls in (*classes, *plugged):
        kind = kind_of(cls)
        if kind in kinds:
            raise ValueError(f"two {family} are named {kind!r}: {kinds[kind]} and {cls}")
        kinds[kind] = cls
    return kinds


def _plugged(entry: EntryPoint) -> type[Part]:
    cls: type[Part] = entry.load()
    family, _, name = entry.name.partition(".")
    if name != (kind := kind_of(cls)):
        raise RetkdError(
            f"the plug-in {entry.name!r} is of kind {kind!r}",
            where=f"entry point {entry.name} = {entry.value}, of the group retkd",
            seen=f"kind: {kind}",
            allowed=f"kind: {name}",
            next_step=f"name the entry point {family}.{kind}, or give its class `kind: {name}`, and install it again",
        )
    return cls


def kind_of(cls: type[Part]) -> str:
    """The ``kind`` that a class answers to: the one value of its ``kind: Literal[...]`` field."""
    (kind,) = get_args(cls.model_fields["kind"].annotation)
    return str(kind)


def one_of(kinds: Mapping[str, type[Part]]) -> Any:
    """The pydantic type "one of these, chosen by ``kind``"."""
    classes = tuple(kinds.values())
    if len(classes) == 1:
        return classes[0]
    return Annotated[Union[classes], Field(discriminator="kind")]  # noqa: UP007 - built at run time


Scale = Literal[
    "logit", "log_probability", "probability", "cosine", "unbounded", "standardised", "rank", "distribution"
]
"""What a teacher's raw number is. ``unbounded``: a sum such as a dot product or BM25. ``standardised``: mean 0, deviation 1
per list. ``rank``: no magnitude. ``distribution``: a document's share of its list, most of them 0."""
