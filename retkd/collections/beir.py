"""A BEIR folder: corpus.jsonl, queries.jsonl and one qrels/SPLIT.tsv per split, each of them also as .gz."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from retkd.collections.base import CollectionConfig
from retkd.collections.lines import found
from retkd.collections.local import LocalCollection, SplitFiles
from retkd.errors import DataError, did_you_mean

EXPECTED = "corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv, each also as .gz"


class Beir(CollectionConfig):
    """A folder in the layout of BEIR (Thakur et al. 2021).

    queries.jsonl holds the queries of all splits: a split is a qrels file, and its queries are those that the file
    names, and those with ``"split": NAME`` in queries.jsonl, which may lack judgements (the qrels file may then hold a
    header alone).
    """

    kind: Literal["beir"] = "beir"
    path: Path = Field(description="the folder")
    qrels: dict[str, str] = Field(
        default={}, description="split -> name of a file in qrels/, without .tsv; default: each file is a split"
    )

    id_language: str | None = Field(
        default=None,
        description="regular expression whose first group is the language in an id, such as ^(..)-, where no line names it",
    )

    @field_validator("id_language")
    @classmethod
    def _has_a_group(cls, pattern: str | None) -> str | None:
        try:
            if pattern is not None and not re.compile(pattern).groups:
                raise ValueError("the expression has no group: put the language in parentheses, as in ^(..)-")
        except re.error as error:
            raise ValueError(f"this is no regular expression: {error}") from None
        return pattern

    @property
    def title(self) -> str:
        """The folder's name."""
        return self.path.expanduser().resolve().name

    def open(self, cache: Path) -> LocalCollection:
        """The collection. Raises :class:`DataError` when a file is missing."""
        folder = self.path.expanduser()
        corpus, queries = (found(folder, name, EXPECTED) for name in ("corpus.jsonl", "queries.jsonl"))
        present = self._qrels_files(folder)
        wanted = self.qrels or {stem: stem for stem in present}
        files = {split: SplitFiles(queries, self._chosen(stem, present), stem) for split, stem in wanted.items()}
        return LocalCollection(self, cache, corpus, "jsonl", files, self.id_language)

    def _qrels_files(self, folder: Path) -> dict[str, Path]:
        zipped = {path.name.removesuffix(".tsv.gz"): path for path in (folder / "qrels").glob("*.tsv.gz")}
        present = zipped | {path.stem: path for path in (folder / "qrels").glob("*.tsv")}
        if not present:
            raise DataError(
                "the collection has no qrels",
                where=folder / "qrels",
                seen="no .tsv file",
                allowed=EXPECTED,
                next_step='put a file there; where nothing is judged, a header alone, and "split" in queries.jsonl',
            )
        return dict(sorted(present.items()))

    def _chosen(self, stem: str, present: dict[str, Path]) -> Path:
        if stem not in present:
            raise DataError(
                f"collection.qrels names a file that is not there: {stem!r}",
                where=self.path / "qrels",
                seen=stem,
                allowed=", ".join(present),
                next_step=did_you_mean(stem, present),
            )
        return present[stem]
