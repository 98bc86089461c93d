"""Datasets of the ir_datasets package: found by id, and what stands for their content in a digest."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from retkd.collections.file_digest import file_digests
from retkd.errors import DataError, did_you_mean

Kind = Literal["docs", "queries", "qrels"]
KINDS: tuple[Kind, ...] = ("docs", "queries", "qrels")


@dataclass(frozen=True)
class Content:
    """``value`` changes with the content; ``is_fixed`` says that only another version of ir_datasets can change it."""

    value: object
    is_fixed: bool


def dataset_with(dataset_id: str, kind: Kind) -> Any:
    """The dataset, which has records of this kind. Raises :class:`DataError` when it is unknown or has none."""
    import ir_datasets

    try:
        dataset = ir_datasets.load(dataset_id)
    except KeyError:
        raise DataError(
            f"ir_datasets {ir_datasets.__version__} has no dataset {dataset_id!r}",
            where="collection.id or collection.splits",
            seen=dataset_id,
            next_step=did_you_mean(dataset_id, _near(dataset_id, list(ir_datasets.registry))),
        ) from None
    if not dataset.has(kind):
        raise DataError(
            f"the dataset {dataset_id!r} has no {kind}",
            where="collection.id" if kind == "docs" else "collection.splits",
            seen=", ".join(each for each in KINDS if dataset.has(each)) or "nothing",
            allowed=f"a dataset with {kind}",
            next_step="look it up at https://ir-datasets.com",
        )
    return dataset


def content_of(dataset_id: str, kind: Kind, cache: Path) -> Content:
    """Metadata of a catalogue's dataset; for one that was registered by hand, the digest of its file or records."""
    dataset = dataset_with(dataset_id, kind)
    metadata = getattr(dataset, f"{kind}_metadata")()
    if metadata:
        return Content(metadata, is_fixed=True)
    find = getattr(dataset, f"{kind}_path", None)
    if find is not None and Path(find()).is_file():
        return Content(file_digests([Path(find())], cache), is_fixed=False)
    return Content(_records_digest(getattr(dataset, f"{kind}_iter")()), is_fixed=False)


def json_digest(value: object) -> str:
    """SHA-256 (hex) of the value as JSON with sorted keys."""
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _records_digest(records: Iterable[Any]) -> str:
    digest = sha256()
    for record in records:
        digest.update(json.dumps(list(record), default=str).encode() + b"\n")
    return digest.hexdigest()


def _near(dataset_id: str, known: list[str]) -> list[str]:
    """Datasets of the same family, else the families: the registry has over a thousand names."""
    root = dataset_id.split("/")[0]
    return [name for name in known if name.split("/")[0] == root] or [name for name in known if "/" not in name]
