"""Scores that someone else has published, as a teacher: read from a training file of another tool."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from retkd.collections.base import Collection
from retkd.errors import DataError, did_you_mean
from retkd.formats import FORMATS
from retkd.formats.base import TrainingList
from retkd.parts import DataFile, Scale
from retkd.stage import Inputs
from retkd.teachers.base import Judgement, PairTexts, Rows, Teacher, by_split, pair_texts

Key = tuple[str, str]
"""(query_id, doc_id), or (query text, document text)."""


class Imported(Teacher):
    """The scores in a file, matched by ids or by texts; every row of the named splits must have one.

    A file says nothing about its scale, so the recipe does. What a file scores beyond the rows is passed over and
    counted; a pair with two different scores is refused. By id, an id that the collection does not have is refused too.
    Texts are compared without surrounding blanks: a document's is its title and its text joined by one space.
    """

    kind: Literal["imported"] = "imported"
    file: DataFile = Field(description="for pylate its train.parquet, for nemo its JSON file, else the file itself")
    format: str = Field(description="a name that `retkd ls formats` shows")
    scale: Scale = Field(description="what the numbers are: see the model card or paper of whoever scored")
    match: Literal["id", "text"] = "id"
    splits: list[str] | None = Field(default=None, description="splits that the file covers; default: all of the table")

    @field_validator("format")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in FORMATS:
            raise ValueError(f"there is no format {name!r}: {did_you_mean(name, FORMATS)}")
        return name

    @property
    def scales(self) -> tuple[Scale, ...]:
        """As the recipe says it."""
        return (self.scale,)

    def judge(self, name: str, splits: list[Rows], inputs: Inputs, work: Path) -> Judgement:
        """The file's scores of the chosen rows; splits that it does not cover are left unscored."""
        covered = self._covered(splits)
        path = Path(self.file).expanduser()
        texts = pair_texts(covered, inputs) if self.match == "text" else None
        wanted = list(_ids(covered) if texts is None else _texts(texts))
        found, num_beyond = self._found(path, set(wanted), inputs.collection)
        missing = [pair for pair in wanted if pair not in found]
        if missing:
            raise DataError(
                f"the file has no score for {len(missing):,} of the {len(wanted):,} candidates of teacher {name!r}",
                where=path,
                seen=f"{missing[0][0]!r} with {missing[0][1]!r}",
                allowed="a score for every row that is to be scored",
                next_step="mine what the file covers, limit the score stage's `depth`, or name the `splits` it covers",
            )
        values = np.array([found[pair] for pair in wanted], dtype=np.float32)
        return Judgement(by_split(covered, values), self.scale, told={"pairs_beyond_the_rows": num_beyond})

    def _covered(self, splits: list[Rows]) -> list[Rows]:
        known = [rows.split for rows in splits]
        unknown = [split for split in self.splits or [] if split not in known]
        if unknown:
            raise DataError(
                f"the candidates table has no split {unknown[0]!r}",
                where="teacher imported, key splits",
                allowed=", ".join(known),
                next_step=did_you_mean(unknown[0], known),
            )
        return [rows for rows in splits if self.splits is None or rows.split in self.splits]

    def _found(self, path: Path, wanted: set[Key], collection: Collection) -> tuple[dict[Key, float], int]:
        """Scores of the wanted pairs, and how many other pairs the file has."""
        found: dict[Key, float] = {}
        others: dict[str, str] = {}
        num_beyond = 0
        for where, pair, score in self._pairs(path):
            if pair not in wanted:
                num_beyond += 1
                others.setdefault(pair[1], where)
            elif found.setdefault(pair, score) != score:
                raise DataError(
                    "a pair has two different scores",
                    where=where,
                    seen=f"{pair[0]!r} with {pair[1]!r}: {found[pair]} and {score}",
                    allowed="one score per pair",
                )
        if self.match == "id":
            _refuse_unknown(others, collection)
        return found, num_beyond

    def _pairs(self, path: Path) -> Iterator[tuple[str, Key, float]]:
        for each in FORMATS[self.format].read(path):
            query = each.query_id if self.match == "id" else each.query
            for document in each.documents:
                key = document.doc_id if self.match == "id" else document.text
                if query is None or key is None:
                    raise self._nothing_to_match(each)
                if document.score is None:
                    raise DataError(
                        "a document of the file has no score",
                        where=each.where,
                        seen=f"{query!r} with {key!r}",
                        next_step="take a file with scores: a teacher without them teaches nothing",
                    )
                yield each.where, (query, key) if self.match == "id" else (query.strip(), key.strip()), document.score

    def _nothing_to_match(self, each: TrainingList) -> DataError:
        other = "text" if self.match == "id" else "id"
        return DataError(
            f"the file has no {'ids' if self.match == 'id' else 'texts'} to match by",
            where=each.where,
            seen=f"match: {self.match}",
            next_step=f"set `match: {other}`",
        )


def _ids(splits: list[Rows]) -> Iterator[Key]:
    for rows in splits:
        columns = (rows.table[name].to_numpy(zero_copy_only=False)[rows.chosen] for name in ("query_id", "doc_id"))
        yield from zip(*columns, strict=True)


def _texts(texts: PairTexts) -> Iterator[Key]:
    for query, document in texts.pairs:
        yield texts.queries[query].strip(), texts.documents[document].strip()


def _refuse_unknown(documents: dict[str, str], collection: Collection) -> None:
    """``documents`` is doc_id -> where the file names it first."""
    ids: list[Any] = list(documents)
    for start in range(0, len(ids), 4096):
        try:
            for _ in collection.documents_by_id(ids[start : start + 4096]):
                pass
        except DataError:
            for doc_id in ids[start : start + 4096]:
                _require(doc_id, documents[doc_id], collection)
            raise


def _require(doc_id: str, where: str, collection: Collection) -> None:
    try:
        next(iter(collection.documents_by_id([doc_id])))
    except DataError as error:
        raise DataError(
            "the file scores a document that the collection does not have",
            where=where,
            seen=f"doc_id {doc_id!r}",
            next_step="take scores that were made for this collection, or set `match: text`",
        ) from error
