"""What every miner gives: a ranking per query."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field, field_validator

from retkd.collections.base import Query
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

    def mine(
        self, queries: Sequence[Query], inputs: Inputs, prepared: object, split: str | None = None
    ) -> list[Ranking]:
        """A ranking per query, in the order of ``queries``, after ``skip`` and ``doc_id_pattern``.

        ``split`` is the one that the queries are of; only a miner that reads a file per split needs it.
        """
        last = self.skip + self.depth

        def ranked(some: Sequence[Query], depth: int) -> list[Ranking]:
            return self.rank(some, inputs, prepared, depth, split)

        found = ranked(queries, last) if self.doc_id_pattern is None else self._matching(queries, ranked, last)
        return [ranking.rows(range(self.skip, min(last, len(ranking.doc_ids)))) for ranking in found]

    def _matching(
        self, queries: Sequence[Query], ranked: Callable[[Sequence[Query], int], list[Ranking]], wanted: int
    ) -> list[Ranking]:
        """Rankings of documents that match the pattern: asked deeper until there are enough, or no more documents."""
        matches = re.compile(self.doc_id_pattern or "").search
        kept = [NOTHING] * len(queries)
        open_, depth = list(range(len(queries))), wanted
        while open_:
            found = ranked([queries[at] for at in open_], depth)
            for at, ranking in zip(open_, found, strict=True):
                kept[at] = ranking.rows([row for row, doc_id in enumerate(ranking.doc_ids) if matches(doc_id)])
            more = [len(ranking.doc_ids) >= depth for ranking in found]
            open_ = [at for at, is_more in zip(open_, more, strict=True) if is_more and len(kept[at].doc_ids) < wanted]
            depth *= WIDER
        return kept
