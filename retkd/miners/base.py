"""What every miner gives: a ranking per query."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import Field, field_validator

from retkd.collections.base import Collection, Query
from retkd.errors import DataError
from retkd.parts import Part
from retkd.stage import Inputs

WIDER = 4
"""How many times as deep a miner is asked again when too few of what it found may stay."""


@dataclass(frozen=True)
class Ranking:
    """One query's candidates, best first: ids, float32 scores (descending), and the miner that brought each."""

    doc_ids: list[str]
    scores: np.ndarray
    sources: list[str]

    def rows(self, rows: Sequence[int]) -> "Ranking":
        """The ranking of these rows, in this order."""
        doc_ids, sources = [self.doc_ids[row] for row in rows], [self.sources[row] for row in rows]
        return Ranking(doc_ids, self.scores[list(rows)], sources)


NOTHING = Ranking([], np.zeros(0, np.float32), [])
"""The ranking of a query that matches nothing."""


class Miner(Part):
    """Proposes up to ``depth`` documents per query. A subclass fills in :meth:`prepare` and :meth:`rank`."""

    LATER: ClassVar[tuple[str, ...]] = ("language",)

    name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="what the column `source`, weights and quotas call it; default: its kind",
    )
    depth: int = Field(default=100, ge=1, description="documents per query, after `skip`")
    skip: int = Field(
        default=0, ge=0, description="leave out that many of the top; skip 30, depth 170: ranks 31 to 200"
    )
    doc_id_pattern: str | None = Field(
        default=None, description="only documents whose id this regular expression matches, such as ^en-"
    )

    language: str | None = Field(default=None, description="only documents in this language, such as de")

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str | None) -> str | None:
        if name == "qrels":
            raise ValueError("the source `qrels` is that of judged positives which no miner found")
        return name

    @field_validator("doc_id_pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"this is no regular expression: {error}") from None
        return pattern

    @property
    def source(self) -> str:
        """What the column ``source`` calls it."""
        return self.name or str(getattr(self, "kind"))  # noqa: B009 - the field stands in subclasses

    def prepare(self, inputs: Inputs) -> object:
        """What this miner builds once (an index, an encoder); handed to every call of :meth:`rank`."""
        raise NotImplementedError

    def rank(
        self, queries: Sequence[Query], inputs: Inputs, prepared: object, depth: int, split: str | None
    ) -> list[Ranking]:
        """Up to ``depth`` documents per query, best first, in the order of ``queries``.

        A smaller depth gives the beginning of the same ranking. A query that matches nothing gets an empty one.
        """
        raise NotImplementedError

    def found(self, doc_ids: Sequence[str], scores: np.ndarray, rows: np.ndarray, kept: np.ndarray) -> Ranking:
        """The ranking of a query's best ``rows``; ``kept``, true and then false, says how many of them were found."""
        count = int(kept.sum())
        return Ranking([doc_ids[row] for row in rows[:count].tolist()], scores[:count], [self.source] * count)

    def require_documents(self, collection: Collection) -> None:
        """Raise :class:`DataError` when ``doc_id_pattern`` and ``language`` leave no document of the collection."""
        if self.doc_id_pattern is None and self.language is None:
            return
        matches = re.compile(self.doc_id_pattern or "").search
        languages: set[str | None] = set()
        for document in collection.documents():
            languages.add(document.language)
            if matches(document.doc_id) and self.language in (None, document.language):
                return
        told = sorted(language for language in languages if language is not None)
        asked = {"language": self.language, "doc_id_pattern": self.doc_id_pattern}
        raise DataError(
            "no document of the collection may stay, so the miner would find nothing",
            where=f"miner {self.source}",
            seen=", ".join(f"{key} {value}" for key, value in asked.items() if value is not None),
            allowed=f"languages {', '.join(told) or 'none: no document tells its language'}; ids such as "
            f"{next(iter(collection.documents(0, 1))).doc_id!r}",
            next_step="mend the key, or let the collection tell the languages: a field `language` in its lines, or `id_language`",
        )

    def mine(
        self, queries: Sequence[Query], inputs: Inputs, prepared: object, split: str | None = None
    ) -> list[Ranking]:
        """A ranking per query, in the order of ``queries``, after ``skip``, ``doc_id_pattern`` and ``language``.

        ``split`` is the one that the queries are of; only a miner that reads a file per split needs it.
        """
        last = self.skip + self.depth

        def ranked(some: Sequence[Query], depth: int) -> list[Ranking]:
            return self.rank(some, inputs, prepared, depth, split)

        if self.doc_id_pattern is None and self.language is None:
            found = ranked(queries, last)
        else:
            found = self._matching(queries, ranked, last, inputs)
        return [ranking.rows(range(self.skip, min(last, len(ranking.doc_ids)))) for ranking in found]

    def _matching(
        self,
        queries: Sequence[Query],
        ranked: Callable[[Sequence[Query], int], list[Ranking]],
        wanted: int,
        inputs: Inputs,
    ) -> list[Ranking]:
        """Rankings of documents that may stay: asked deeper until there are enough, or no more documents."""
        stays = self._filter(inputs)
        kept = [NOTHING] * len(queries)
        open_, depth = list(range(len(queries))), wanted
        while open_:
            found = ranked([queries[at] for at in open_], depth)
            for at, ranking in zip(open_, found, strict=True):
                kept[at] = ranking.rows([row for row, may in enumerate(stays(ranking.doc_ids)) if may])
            more = [len(ranking.doc_ids) >= depth for ranking in found]
            open_ = [at for at, is_more in zip(open_, more, strict=True) if is_more and len(kept[at].doc_ids) < wanted]
            depth *= WIDER
        return kept

    def _filter(self, inputs: Inputs) -> Callable[[Sequence[str]], list[bool]]:
        """For each id, whether its document may stay. A document's language is read once."""
        matches = re.compile(self.doc_id_pattern or "").search
        languages: dict[str, str | None] = {}

        def stays(doc_ids: Sequence[str]) -> list[bool]:
            if self.language is None:
                return [bool(matches(doc_id)) for doc_id in doc_ids]
            unread = [doc_id for doc_id in doc_ids if doc_id not in languages]
            languages.update({d.doc_id: d.language for d in inputs.collection.documents_by_id(unread)})
            return [bool(matches(doc_id)) and languages[doc_id] == self.language for doc_id in doc_ids]

        return stays
