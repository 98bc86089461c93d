"""Candidates out of a run in TREC format, whoever made it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from retkd.collections.base import Collection, Query
from retkd.errors import DataError
from retkd.miners.base import NOTHING, Miner, Ranking
from retkd.parts import DataFile
from retkd.stage import Inputs
from retkd.trec import RunRow, read_run_rows

EVERY = "*"
AT_ONCE = 100_000


@dataclass(frozen=True)
class CheckedRun:
    """A run whose documents and queries the collection has. ``splits``: those it ranks at least one query of."""

    path: Path
    rows: dict[str, list[RunRow]]
    splits: frozenset[str]


class RunFile(Miner):
    """The rankings of a run file (plain or .gz), in the order of its ranks, with its scores.

    The file's content is part of the stage's key. It is read into memory, some 300 bytes a line.
    """

    kind: Literal["run_file"] = "run_file"
    run: dict[str, DataFile] = Field(min_length=1, description="a path, or split -> path")
    extra_queries: Literal["error", "ignore"] = Field(
        default="error", description="what to do with queries of the run that the collection does not have"
    )

    @field_validator("run", mode="before")
    @classmethod
    def _one_path_serves_every_split(cls, run: Any) -> Any:
        return {EVERY: run} if isinstance(run, str) else run

    def prepare(self, inputs: Inputs) -> object:
        """Split (or ``*``) -> the run, read and checked against the collection."""
        return {split: self._checked(split, Path(path).expanduser(), inputs) for split, path in self.run.items()}

    def rank(
        self, queries: Sequence[Query], inputs: Inputs, prepared: object, depth: int, split: str | None
    ) -> list[Ranking]:
        """The first ``depth`` documents of each query; a query that the run does not have gets none."""
        runs: Any = prepared
        run = runs[EVERY] if EVERY in runs else runs.get(split)
        if run is None or (split is not None and split not in run.splits):
            raise DataError(
                f"no run ranks the queries of the split {split!r}",
                where="miner run_file, key run",
                seen=", ".join(f"{key}: {path}" for key, path in self.run.items()),
                next_step=f"give a run for it (run: {{{split}: PATH}}), or leave it out of the mine stage's `splits`",
            )
        return [self._ranking(run.rows.get(query.query_id, [])[:depth]) for query in queries]

    def _ranking(self, rows: Sequence[RunRow]) -> Ranking:
        if not rows:
            return NOTHING
        scores = np.array([row.score for row in rows], dtype=np.float32)
        return Ranking([row.doc_id for row in rows], scores, [self.source] * len(rows))

    def _checked(self, split: str, path: Path, inputs: Inputs) -> CheckedRun:
        rows = read_run_rows(path)
        splits = inputs.collection.splits if split == EVERY else (split,)
        known = {
            each: {query.query_id for query in inputs.collection.all_queries(_known(inputs, each))} for each in splits
        }
        extra = rows.keys() - set().union(*known.values())
        if extra and self.extra_queries == "error":
            first = min((row for query_id in extra for row in rows[query_id]), key=lambda row: row.line)
            raise _unknown_query(path, first, len(extra))
        for query_id in extra:
            del rows[query_id]
        _refuse_unknown_documents(path, rows, inputs.collection)
        return CheckedRun(path, rows, frozenset(each for each, ids in known.items() if ids & rows.keys()))


def _known(inputs: Inputs, split: str) -> str:
    inputs.collection.queries(split)
    return split


def _unknown_query(path: Path, row: RunRow, number: int) -> DataError:
    return DataError(
        "the run ranks a query that the collection does not have",
        where=f"{path}:{row.line}",
        seen=f"query_id {row.query_id!r}" + (f" and {number - 1} more" if number > 1 else ""),
        next_step="take a run that was made for this collection, or set extra_queries: ignore",
    )


def _refuse_unknown_documents(path: Path, rows: dict[str, list[RunRow]], collection: Collection) -> None:
    """Look every document up once, a block at a time; raise for the first line whose document is unknown."""
    first: dict[str, RunRow] = {}
    for row in sorted((row for ranking in rows.values() for row in ranking), key=lambda row: row.line):
        first.setdefault(row.doc_id, row)
    ids = iter(first)
    while block := list(islice(ids, AT_ONCE)):
        unknown = [doc_id for doc_id, known in zip(block, collection.contains(block), strict=True) if not known]
        if unknown:
            row = first[unknown[0]]
            raise DataError(
                "the run ranks a document that the collection does not have",
                where=f"{path}:{row.line}",
                seen=f"doc_id {row.doc_id!r} (query_id {row.query_id!r})",
                allowed=f"ids of its {collection.num_documents} documents",
                next_step="take a run that was made from this collection",
            )
