"""Candidate lists as training examples: rows of the table joined with texts by id."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from retkd import candidates as table
from retkd.batch import Example
from retkd.collections.base import Collection
from retkd.errors import DataError

if TYPE_CHECKING:
    from retkd.objectives.base import Objective


class CandidateLists(Sequence[Example]):
    """One example per query of a table. Texts are fetched from the collection when an example is asked for."""

    def __init__(self, rows: pa.Table, collection: Collection, split: str, teachers: Sequence[str]) -> None:
        self.collection = collection
        self.teachers = tuple(teachers)
        self.groups = list(table.groups(rows))
        self.doc_ids = rows["doc_id"].to_numpy(zero_copy_only=False)
        self.relevance = rows["relevance"].fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        self.scores = {name: _complete(rows, name) for name in self.teachers}
        self.queries = {query.query_id: query.text for query in collection.queries(split)}
        self.qrels = collection.qrels(split)
        table.require_queries([query_id for query_id, _, _ in self.groups], self.queries, split)
        if not self.groups:
            raise DataError(
                "there are no candidate lists to train on",
                where=f"split {split}",
                seen="0 rows",
                next_step="look at `rows.dropped` in the select stage's manifest, and at the mine stage's depth",
            )

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, position: Any) -> Example:  # type: ignore[override]
        doc_ids = self.ids(position)
        texts = {d.doc_id: d.full_text for d in self.collection.documents_by_id(doc_ids)}
        return self.example(position, doc_ids, texts)

    @property
    def query_ids(self) -> list[str]:
        """The query of each example."""
        return [query_id for query_id, _, _ in self.groups]

    @property
    def languages(self) -> list[str]:
        """All examples are in the language of the collection."""
        return [""] * len(self)

    def ids(self, position: int) -> tuple[str, ...]:
        """The candidates of one query."""
        _, start, stop = self.groups[position]
        return tuple(self.doc_ids[start:stop])

    def example(self, position: int, doc_ids: Sequence[str], texts: Mapping[str, str]) -> Example:
        """The example whose candidates go by ``doc_ids``, in the order of :meth:`ids`, and have these texts."""
        query_id, start, stop = self.groups[position]
        judged = self.qrels.get(query_id, {})
        return Example(
            query_id=query_id,
            query=self.queries[query_id],
            doc_ids=tuple(doc_ids),
            documents=tuple(texts[doc_id] for doc_id in doc_ids),
            relevance=tuple(int(r) for r in self.relevance[start:stop]),
            teachers={name: tuple(float(s) for s in scores[start:stop]) for name, scores in self.scores.items()},
            all_positives=frozenset(doc_id for doc_id, grade in judged.items() if grade > 0),
        )


class Repeated(Sequence[Example]):
    """Examples of which some stand several times: ``times`` is a number from 1 on for each."""

    def __init__(self, examples: Sequence[Example], times: np.ndarray) -> None:
        self.examples = examples
        self.places = np.repeat(np.arange(len(examples)), times)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, position: Any) -> Example:  # type: ignore[override]
        return self.examples[int(self.places[position])]


def _complete(rows: pa.Table, name: str) -> np.ndarray:
    column = rows[table.TEACHER + name]
    if column.null_count:
        row = rows.filter(column.is_null()).slice(0, 1).to_pylist()[0]
        raise DataError(
            f"{column.null_count:,} training rows have no score of teacher {name!r}",
            where=f"query_id {row['query_id']!r}, doc_id {row['doc_id']!r}",
            allowed="a score on every row: a teacher loss never sees a pair that the teacher has not",
            next_step=f"score deeper, or let the select stage drop them with `teacher: {name}`",
        )
    return np.asarray(column.to_numpy())


def require_objective(objective: Sequence["Objective"], rows: pa.Table, steps: int) -> None:
    """Raise where a term cannot learn from the training rows: a teacher on another scale, a single candidate, no positive."""
    labelled = any(r is not None and r > 0 for r in rows["relevance"].unique().to_pylist())
    for term in objective:
        reader = f"the objective {term.kind!r}"  # type: ignore[attr-defined]
        for teacher in term.teacher_names:
            table.require_scale(rows, teacher, term.scales, reader, term.RULE)
        if term.needs_lists:
            require_lists(rows, reader)
        if term.needs_positives and steps and rows.num_rows and not labelled:
            raise DataError(
                f"{reader} needs judged positives and the training rows have none",
                where="column relevance, split train",
                next_step="use a collection with train qrels, or an objective that learns from the teacher alone, such as kl",
            )


def teachers_of(objective: Sequence["Objective"]) -> list[str]:
    """The teacher columns that the terms read, sorted."""
    return sorted({teacher for term in objective for teacher in term.teacher_names})


def require_lists(rows: pa.Table, reader: str) -> None:
    """Raise :class:`DataError` when a query has a single candidate: a list loss has no gradient there."""
    single = [query_id for query_id, start, stop in table.groups(rows) if stop - start < 2]
    if single:
        raise DataError(
            f"{len(single):,} of the candidate lists have length one",
            where=f"query_id {single[0]!r}",
            seen="one candidate",
            allowed="two or more",
            consequence=f"{reader} compares candidates of one query: with one candidate its gradient is zero",
            next_step="mine deeper, filter less, or drop these queries in the select stage",
        )
