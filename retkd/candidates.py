"""The candidates table: one row per (query, document) pair, as Parquet parts in one folder per split.

| column        | type              |                                                  |
|---------------|-------------------|--------------------------------------------------|
| query_id      | string            | as in the collection                             |
| doc_id        | string            | as in the collection                             |
| rank          | int32             | 1-based, the miner's                             |
| score         | float32           | the miner's                                      |
| source        | dictionary string | which miner brought the row                      |
| relevance     | int8, nullable    | null = unjudged, which is not 0                  |
| teacher.NAME  | float32, nullable | raw score of that teacher; null = not scored     |

Rows are sorted by (query_id, rank), pairs are unique, numbers are never NaN. A teacher column's scale is metadata of
the column.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retkd.errors import DataError, ScaleError, did_you_mean
from retkd.parts import Scale
from retkd.shards import atomic, shard_name

TEACHER = "teacher."
QRELS = "qrels"
"""The source of a judged positive that no miner found, and that was added to train on."""
SCHEMA = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("source", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("relevance", pa.int8()),
    ]
)


def table(
    query_ids: Sequence[str],
    doc_ids: Sequence[str],
    ranks: Sequence[int] | np.ndarray,
    scores: Sequence[float] | np.ndarray,
    sources: Sequence[str],
    relevance: Sequence[int | None],
) -> pa.Table:
    """A table from columns, sorted and checked.

    Raises :class:`DataError` on a repeated pair, a number that is not finite, or a grade that is no 8-bit integer.
    """
    _require_small_grades(query_ids, doc_ids, relevance)
    columns = [query_ids, doc_ids, ranks, scores, pa.array(sources, pa.string()).dictionary_encode(), relevance]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
    return checked(by_rank(pa.Table.from_arrays(arrays, schema=SCHEMA)))


def by_rank(rows: pa.Table) -> pa.Table:
    """The rows in the order of a candidates table: query by query, each by rank."""
    return rows.sort_by([("query_id", "ascending"), ("rank", "ascending")])


def _require_small_grades(query_ids: Sequence[str], doc_ids: Sequence[str], relevance: Sequence[int | None]) -> None:
    for query_id, doc_id, grade in zip(query_ids, doc_ids, relevance, strict=True):
        if grade is not None and not -128 <= grade <= 127:
            raise DataError(
                "a grade does not fit into the candidates table",
                where=f"query_id {query_id!r}, doc_id {doc_id!r}",
                seen=grade,
                allowed="-128 to 127; 1 and more is relevant",
                next_step="map the grades of the judgements to a small scale, such as 0 to 3",
            )


def checked(rows: pa.Table) -> pa.Table:
    """The table itself, when every pair is unique and every number finite; else a :class:`DataError`."""
    pairs = rows.group_by(["query_id", "doc_id"]).aggregate([([], "count_all")])
    if pairs.num_rows != rows.num_rows:
        twice = pairs.filter(pc.greater(pairs["count_all"], 1)).slice(0, 1).to_pylist()[0]
        raise DataError(
            "a (query, document) pair stands twice in the candidates table",
            where=f"query_id {twice['query_id']!r}, doc_id {twice['doc_id']!r}",
            seen=f"{twice['count_all']} rows",
            allowed="one row per pair",
            next_step="merge the rows, for example with the miner kind 'fused'",
        )
    for name in ["score", *teacher_columns(rows)]:
        bad = pc.invert(pc.is_finite(rows[name]))
        if pc.any(bad).as_py():
            row = rows.filter(bad).slice(0, 1).to_pylist()[0]
            raise DataError(
                f"the column {name} holds a number that is not finite",
                where=f"query_id {row['query_id']!r}, doc_id {row['doc_id']!r}",
                seen=row[name],
                allowed="finite numbers, or null where a pair was not scored",
                next_step="look at the texts of that pair and at the precision the teacher ran in",
            )
    return rows


def teacher_columns(rows: pa.Table | pa.Schema) -> list[str]:
    """Names of the teacher columns, with their prefix."""
    schema = rows.schema if isinstance(rows, pa.Table) else rows
    return [name for name in schema.names if name.startswith(TEACHER)]


def with_teacher(rows: pa.Table, name: str, scores: np.ndarray | pa.Array, scale: Scale) -> pa.Table:
    """The table with column ``teacher.NAME`` set; ``scale`` is written into the column's metadata."""
    field = pa.field(TEACHER + name, pa.float32(), metadata={"scale": scale})
    column = pa.array(scores, pa.float32()) if isinstance(scores, np.ndarray) else scores.cast(pa.float32())
    at = rows.schema.get_field_index(field.name)
    return rows.append_column(field, column) if at < 0 else rows.set_column(at, field, column)


def scale_of(rows: pa.Table | pa.Schema, name: str) -> Scale:
    """The scale of teacher ``name``. Raises :class:`DataError` when there is no such column or no scale."""
    schema = rows.schema if isinstance(rows, pa.Table) else rows
    known = [column.removeprefix(TEACHER) for column in teacher_columns(schema)]
    if name not in known:
        raise DataError(
            f"the candidates table has no teacher {name!r}",
            seen=name,
            allowed=", ".join(known) or "none: no teacher has scored this table",
            next_step=did_you_mean(name, known) if known else "add a stage of kind score before this one",
        )
    scale = (schema.field(TEACHER + name).metadata or {}).get(b"scale", b"").decode()
    if scale not in get_args(Scale):
        raise DataError(
            f"the column teacher.{name} does not say its scale",
            seen=scale or "no metadata",
            allowed=", ".join(get_args(Scale)),
            next_step="write the column with retkd.candidates.with_teacher",
        )
    return cast(Scale, scale)


def require_scale(rows: pa.Table | pa.Schema, name: str, allowed: Sequence[Scale], reader: str, rule: str) -> Scale:
    """The scale of a teacher column, when ``reader`` can use it; else a :class:`ScaleError` that gives ``rule``."""
    scale = scale_of(rows, name)
    if scale not in allowed:
        raise ScaleError(
            f"{reader} cannot use the scores of teacher {name!r}",
            where=f"column teacher.{name}",
            seen=f"scale {scale!r}",
            allowed=", ".join(allowed),
            next_step=rule,
        )
    return scale


def write(rows: pa.Table, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write one Parquet part. The same rows give the same bytes; ``metadata`` goes into the footer."""
    merged = {**(rows.schema.metadata or {}), **{k.encode(): v.encode() for k, v in (metadata or {}).items()}}
    pq.write_table(rows.replace_schema_metadata(merged or None), path, compression="zstd")


def parts(folder: Path) -> list[Path]:
    """The part files of a split's folder in order. Raises :class:`DataError` when there are none."""
    found = sorted(folder.glob("part-*.parquet"))
    if not found:
        raise DataError(
            "no candidates here",
            where=folder,
            allowed="a folder with part-*.parquet",
            next_step="name the split in the mine stage's `splits`, or rerun the stage that writes it",
        )
    return found


def read(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """All parts of a split's folder as one table, sorted by (query_id, rank)."""
    tables = [pq.read_table(path, columns=columns).replace_schema_metadata(None) for path in parts(folder)]
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def copy_with(source: Path, out: Path, key: str, train: Callable[[pa.Table], pa.Table]) -> tuple[int, int]:
    """Copy every split of an artifact to ``out``, and what ``train`` makes of the training table; rows read, rows written."""
    rows_in = rows_out = 0
    for split in splits(source):
        rows = read(source / split)
        rows_in += rows.num_rows
        rows = train(rows) if split == "train" else rows
        rows_out += rows.num_rows
        with atomic(out / split / shard_name(0, 1)) as temporary:
            write(rows, temporary, {"retkd.key": key})
    return rows_in, rows_out


def schema_of(folder: Path) -> pa.Schema:
    """The schema of a split's folder, without reading rows."""
    return pq.read_schema(parts(folder)[0])


def splits(artifact: Path) -> list[str]:
    """The splits that an artifact holds a table for."""
    return sorted(path.name for path in artifact.iterdir() if path.is_dir() and any(path.glob("part-*.parquet")))


def mined(rows: pa.Table) -> np.ndarray:
    """Bool per row: whether a miner found it, rather than the judgements."""
    found: np.ndarray = pc.not_equal(rows["source"].cast(pa.string()), QRELS).to_numpy().astype(bool)
    return found


def only_mined(rows: pa.Table) -> pa.Table:
    """The rows that a miner found: what the judgements added is no ranking."""
    return rows.filter(pa.array(mined(rows)))


def groups(rows: pa.Table) -> Iterator[tuple[str, int, int]]:
    """(query_id, start, stop) for each query: its rows are ``rows.slice(start, stop - start)``."""
    query_ids = rows["query_id"].to_numpy(zero_copy_only=False)
    if len(query_ids) == 0:
        return
    starts = np.flatnonzero(np.concatenate([[True], query_ids[1:] != query_ids[:-1]]))
    for start, stop in zip(starts, [*starts[1:], len(query_ids)], strict=True):
        yield str(query_ids[start]), int(start), int(stop)


def require_queries(query_ids: Iterable[str], known: Container[str], split: str) -> None:
    """Raise :class:`DataError` when the table names a query that the collection does not have."""
    unknown = [query_id for query_id in dict.fromkeys(query_ids) if query_id not in known]
    if unknown:
        raise DataError(
            "the candidates table names queries that the collection does not have",
            where=f"split {split}",
            seen=f"{len(unknown)}, such as {unknown[0]!r}",
            next_step="run the mine stage again on this collection",
        )
