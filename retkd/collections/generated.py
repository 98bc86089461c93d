"""A collection whose training queries come from a stage that generated them."""

from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np

from retkd.collections.base import Collection, Query
from retkd.collections.delegated import WithDocumentsOf
from retkd.collections.qrels_file import read_qrels
from retkd.collections.query_file import read_queries
from retkd.collections.records import QueryRecord


class WithTrainQueries(WithDocumentsOf):
    """The documents and other splits of ``base``; the split train is the queries and judgements in ``folder``.

    ``artifact_digest`` stands for their content. Train queries that ``base`` has of its own are not read.
    """

    def __init__(self, base: Collection, folder: Path, artifact_digest: str) -> None:
        super().__init__(base.config, base)
        self._folder, self._artifact_digest = folder, artifact_digest

    @cached_property
    def digest(self) -> str:
        """SHA-256 over both contents."""
        return sha256(f"{self._base.digest} train {self._artifact_digest}".encode()).hexdigest()

    @property
    def splits(self) -> tuple[str, ...]:
        """train, and those of ``base``."""
        return tuple(dict.fromkeys(("train", *self._base.splits)))

    def in_language(self, language: str) -> "WithTrainQueries":
        """The same queries over the documents in another language."""
        return WithTrainQueries(self._base.in_language(language), self._folder, self._artifact_digest)

    def all_queries(self, split: str) -> list[Query]:
        """The generated queries for train, else those of ``base``."""
        return self._base.all_queries(split) if split != "train" else [each.query for each in self._records.values()]

    def all_qrels(self, split: str) -> dict[str, dict[str, int]]:
        """The generated judgements for train, else those of ``base``."""
        return self._base.all_qrels(split) if split != "train" else self._judged

    @cached_property
    def _records(self) -> dict[str, QueryRecord]:
        return read_queries(self._folder / "queries.jsonl", "jsonl")

    @cached_property
    def _judged(self) -> dict[str, dict[str, int]]:
        """The stage that wrote them took the ids from ``base``: they are not looked up again."""
        return read_qrels(
            self._folder / "qrels" / "train.tsv", self._records, lambda ids: np.ones(len(list(ids)), bool)
        )
