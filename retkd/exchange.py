"""`retkd cp ... --to FORMAT`: a candidates table becomes the training file of another tool."""

import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from retkd import candidates as table
from retkd.collections.base import Collection
from retkd.errors import DataError, WorkspaceError, did_you_mean
from retkd.formats import FORMATS, Format
from retkd.formats.lists import chosen_teacher, training_lists
from retkd.workspace import COLLECTIONS, Workspace, manifest


@dataclass(frozen=True)
class Copied:
    """What was written, whose rows, and what was left out by reason."""

    origin: str
    target: Path
    format: Format
    teacher: str | None
    num_lists: int
    dropped: dict[str, int]


def copy_candidates(
    source: str,
    target: Path | None,
    to: str,
    root: Path,
    *,
    recipe: str | None = None,
    split: str = "train",
    teacher: str | None = None,
    num_negatives: int | None = None,
) -> Copied:
    """Write the lists of ``source`` (a stage's name, an artifact's folder, a Parquet file) in the format ``to``.

    Texts come from the collection of ``recipe`` (default: the latest run in the workspace). Nothing is written when
    anything is wrong, or when the target is there.
    """
    if to not in FORMATS:
        raise DataError(
            f"there is no format {to!r}", seen=to, allowed=", ".join(FORMATS), next_step=did_you_mean(to, FORMATS)
        )
    form, space = FORMATS[to], Workspace(root)
    folder = _recipe_folder(space, recipe)
    rows, digest, name, origin = _rows(source, space, folder, split)
    out = target or Path(f"{name}-{split}.{to}{form.suffix}")
    if out.exists():
        raise DataError("the target exists already; nothing was written", where=out, next_step="name another target")
    collection = _collection(space, folder, digest)
    who = chosen_teacher(rows, teacher, form)
    dropped: Counter[str] = Counter()
    count = _written(training_lists(rows, collection, split, who, form, num_negatives, dropped), form, out, dropped)
    left_out = {reason: n for reason, n in dropped.items() if n}
    return Copied(f"{origin}, texts of the recipe {folder.name}", out, form, who, count, left_out)


def _written(lists: Any, form: Format, out: Path, dropped: Counter[str]) -> int:
    count = 0

    def counted() -> Any:
        nonlocal count
        for each in lists:
            count += 1
            yield each

    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f".{out.name}.tmp-{os.getpid()}")
    try:
        if not form.suffix:
            beside.mkdir()
        form.write(counted(), beside)
        if not count:
            raise DataError(
                "no list is left to write",
                seen=", ".join(f"{n:,} {reason}" for reason, n in dropped.items()) or "no rows at all",
                next_step="look at the rows of this split and at --negatives",
            )
        os.replace(beside, out)
    finally:
        shutil.rmtree(beside, ignore_errors=True) if beside.is_dir() else beside.unlink(missing_ok=True)
    return count


def _rows(source: str, space: Workspace, folder: Path, split: str) -> tuple[pa.Table, str | None, str, str]:
    """The table, the digest of the collection it was made from (None: unknown), a name for the copy, and whose rows."""
    path = Path(source)
    if path.suffix == ".parquet" and path.is_file():
        return table.checked(table.by_rank(_candidates_in(path))), None, path.stem, f"rows of the file {path}"
    stages = space.stages(folder.name)
    artifact = space.root / "artifacts" / stages[source] if source in stages else path
    told = manifest(artifact)
    if told is None:
        known = ", ".join(stages) or "none"
        raise WorkspaceError(
            f"there is no stage, artifact or Parquet file {source!r}",
            where=f"recipe {folder.name}",
            seen=source,
            allowed=f"a stage of the latest run ({known}), the folder of an artifact, or a .parquet file",
            next_step=did_you_mean(source, stages) if stages else "retkd run RECIPE",
        )
    found = table.splits(artifact)
    if split not in found:
        raise DataError(
            f"there is no candidates table for the split {split!r}",
            where=artifact,
            seen=split,
            allowed=", ".join(found) or f"none: a stage of kind {told['kind']} gives no candidates",
        )
    made = f"the stage {source} of the recipe {folder.name}" if source in stages else f"the artifact {artifact.name}"
    return table.read(artifact / split), told["key_inputs"]["collection"], told["stage"], f"rows of {made}"


def _candidates_in(path: Path) -> pa.Table:
    """The candidates in a Parquet file, whoever wrote it, in the types of the table."""
    try:
        rows = pq.read_table(path).replace_schema_metadata(None)
    except pa.ArrowInvalid as error:
        raise DataError("the file is not parquet", where=path, seen=error, next_step="write it again") from error
    absent = [name for name in table.SCHEMA.names if name not in rows.column_names]
    if absent:
        raise DataError(
            "the file is no candidates table",
            where=path,
            seen=", ".join(rows.column_names),
            allowed=f"also {', '.join(absent)}",
        )
    teachers = [
        pa.field(name, pa.float32(), metadata=rows.field(name).metadata) for name in table.teacher_columns(rows)
    ]
    for field in [*table.SCHEMA, *teachers]:
        try:
            column = rows[field.name].cast(pa.string() if field.name == "source" else field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"the column {field.name} is not as a candidates table has it",
                where=path,
                seen=f"{rows.field(field.name).type}: {error}",
                allowed=str(field.type),
            ) from error
        if column.null_count and not field.nullable:
            raise DataError(f"the column {field.name} has nulls", where=path, seen=f"{column.null_count:,} rows")
        column = column.dictionary_encode() if field.name == "source" else column
        rows = rows.set_column(rows.column_names.index(field.name), field, column)
    return rows


def _recipe_folder(space: Workspace, recipe: str | None) -> Path:
    ran = sorted(space.root.glob(f"*/{COLLECTIONS}"), key=lambda path: path.stat().st_mtime)
    names = [path.parent.name for path in ran]
    wanted = Path(recipe).stem if recipe is not None else (names[-1] if names else None)
    if wanted is None or wanted not in names:
        raise WorkspaceError(
            f"no run of the recipe {recipe!r} in this workspace" if recipe else "nothing has run in this workspace",
            where=space.root,
            allowed=", ".join(names) or None,
            next_step="retkd run RECIPE --until STAGE, then copy with --recipe NAME",
        )
    return space.recipe_folder(wanted)


def _collection(space: Workspace, folder: Path, digest: str | None) -> Collection:
    """The recipe's own collection or, where a table says what it was made from, the one of that content."""
    from pydantic import TypeAdapter

    from retkd.collections import AnyCollection

    adapter: TypeAdapter[Any] = TypeAdapter(AnyCollection)
    for config in space.collections(folder.name):
        collection: Collection = adapter.validate_python(config).open(space.cached("collections"))
        if digest is None or collection.all_splits_digest == digest:
            return collection
    raise DataError(
        "the candidates were made from another collection than the recipe has now",
        where=f"recipe {folder.name}",
        next_step="run the recipe again, or name the recipe that made them with --recipe",
    )
