"""Rows of a table by column name: parquet or JSON-lines files, or a dataset of the Hugging Face hub at one commit."""

from collections.abc import Iterable, Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from retkd.collections.file_digest import file_digests
from retkd.collections.lines import parsed_lines
from retkd.collections.records import json_record
from retkd.errors import DataError, did_you_mean
from retkd.parts import Part

AT_ONCE = 1024
FORMS = (".parquet", ".jsonl", ".jsonl.gz")
Row = tuple[str, tuple[Any, ...]]
"""Where the row stands ("part-0.parquet, row 7", counted from 1), and its values in the order of the wanted columns."""


class Table(Part):
    """Either ``path`` (local files) or ``name`` with ``revision`` (hub)."""

    path: str | None = Field(
        default=None, description="a .parquet, .jsonl or .jsonl.gz file, or a pattern such as part-*.parquet"
    )
    name: str | None = Field(default=None, description="a dataset on the hub, as BeIR/scifact")
    revision: str | None = Field(
        default=None, pattern="^[0-9a-f]{40}$", description="the commit on the hub (40 hex digits): a branch would move"
    )
    config: str | None = Field(default=None, description="the dataset's configuration on the hub")
    split: str = Field(default="train", description="the dataset's split on the hub")

    @model_validator(mode="after")
    def _one_source(self) -> "Table":
        if (self.path is None) == (self.name is None):
            raise ValueError("give either path (local files) or name (a dataset on the hub)")
        if self.name is not None and self.revision is None:
            raise ValueError(
                "give the revision (a commit of 40 hex digits) of a dataset on the hub: a branch would move"
            )
        return self

    def content(self, cache: Path) -> list[str]:
        """What decides the rows: digests of the local files, or name, commit, configuration and split on the hub."""
        if self.path is not None:
            return file_digests(self._files(), cache)
        return [str(self.name), str(self.revision), str(self.config), self.split]

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        """Rows in order, streaming. Raises :class:`DataError` for files, columns or a dataset that are not there."""
        if self.path is None:
            yield from self._hub_rows(columns)
            return
        for file in self._files():
            yield from _parquet_rows(file, columns) if file.suffix == ".parquet" else _json_rows(file, columns)

    def _files(self) -> list[Path]:
        files = [Path(name) for name in sorted(glob(str(Path(str(self.path)).expanduser()), recursive=True))]
        wrong = [file.name for file in files if not file.name.endswith(FORMS)]
        if not files or wrong:
            raise DataError(
                "no file has this name" if not files else "the file is in a format that is not read",
                where="collection: path",
                seen=self.path if not files else ", ".join(wrong[:3]),
                allowed=", ".join(FORMS),
                next_step="check the path; a relative one starts where retkd was called",
            )
        return files

    def _hub_rows(self, columns: Sequence[str]) -> Iterator[Row]:
        import datasets

        try:
            data = datasets.load_dataset(self.name, self.config, split=self.split, revision=self.revision)
        except (OSError, ValueError) as error:
            raise self._unreachable(error) from error
        _check_columns(str(self.name), columns, data.column_names)
        blocks = data.select_columns(list(columns)).iter(batch_size=AT_ONCE)
        yield from _numbered(
            str(self.name), (row for block in blocks for row in zip(*(block[c] for c in columns), strict=True))
        )

    def _unreachable(self, error: Exception) -> DataError:
        return DataError(
            f"the dataset {self.name} cannot be loaded",
            where=f"configuration {self.config}, split {self.split}, revision {self.revision}",
            seen=f"{type(error).__name__}: {error}",
            next_step="check the name, configuration and split on the hub; without a network, give local files as path",
        )


def _parquet_rows(file: Path, columns: Sequence[str]) -> Iterator[Row]:
    import pyarrow.parquet as pq
    from pyarrow import ArrowInvalid

    try:
        table = pq.ParquetFile(file)
    except ArrowInvalid as error:
        raise DataError(
            "the file is not parquet", where=file, seen=error, next_step="write or fetch it again"
        ) from error
    _check_columns(str(file), columns, table.schema_arrow.names)
    blocks = table.iter_batches(batch_size=AT_ONCE, columns=list(columns))
    yield from _numbered(
        str(file), (row for block in blocks for row in zip(*(block[c].to_pylist() for c in columns), strict=True))
    )


def _json_rows(file: Path, columns: Sequence[str]) -> Iterator[Row]:
    for number, record in parsed_lines(file, json_record):
        _check_columns(f"{file}, line {number}", columns, list(record))
        yield f"{file}, line {number}", tuple(record[column] for column in columns)


def _numbered(where: str, rows: Iterable[tuple[Any, ...]]) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        yield f"{where}, row {number}", row


def _check_columns(where: str, wanted: Sequence[str], present: Sequence[str]) -> None:
    for column in wanted:
        if column not in present:
            raise DataError(
                f"there is no column {column!r}",
                where=where,
                seen=", ".join(present),
                allowed="the column's name as it stands there",
                next_step=did_you_mean(column, present),
            )
