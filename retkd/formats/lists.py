"""The candidates table as training lists: rows joined with texts, one teacher's scores, positives and negatives."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pyarrow as pa

from retkd import candidates as table
from retkd.collections.base import Collection
from retkd.errors import DataError, ScaleError
from retkd.formats.base import Format, ListDocument, TrainingList

LISTS_AT_ONCE = 1024


def training_lists(
    rows: pa.Table,
    collection: Collection,
    split: str,
    teacher: str | None,
    to: Format,
    num_negatives: int | None,
    dropped: Counter[str],
) -> Iterator[TrainingList]:
    """The lists of a split, texts block by block; ``dropped`` counts what was left out, and why.

    ``num_negatives`` keeps the first that many negatives by rank of the lists that have them. Raises
    :class:`DataError` for a row without a score and :class:`ScaleError` for a teacher that only ranks.
    """
    values = None if teacher is None else _scores(rows, teacher)
    queries = {query.query_id: query.text for query in collection.queries(split)}
    groups = iter(table.groups(rows))
    table.require_queries(rows["query_id"].unique().to_pylist(), queries, split)
    while block := list(islice(groups, LISTS_AT_ONCE)):
        start, stop = block[0][1], block[-1][2]
        doc_ids = rows["doc_id"].slice(start, stop - start).to_pylist()
        relevance = rows["relevance"].slice(start, stop - start).to_pylist()
        unique = list(dict.fromkeys(doc_ids))
        texts = {d.doc_id: d.full_text for d in collection.documents_by_id(unique)}
        for query_id, begin, end in block:
            documents = [
                ListDocument(
                    doc_ids[row - start],
                    texts[doc_ids[row - start]],
                    (relevance[row - start] or 0) > 0,
                    None if values is None else shortest(values[row]),
                )
                for row in range(begin, end)
            ]
            each = TrainingList(f"query_id {query_id!r}", query_id, queries[query_id], tuple(documents))
            kept = _fitting(each, to, num_negatives, dropped)
            if kept is not None:
                yield kept


def _fitting(each: TrainingList, to: Format, num_negatives: int | None, dropped: Counter[str]) -> TrainingList | None:
    positives, negatives = each.positives, each.negatives
    if "positives" in to.needs and not positives:
        dropped["lists without a positive"] += 1
        return None
    if num_negatives is not None and len(negatives) < num_negatives:
        dropped[f"lists with fewer than {num_negatives} negatives"] += 1
        return None
    if "negatives" in to.needs and not negatives:
        dropped["lists without a negative"] += 1
        return None
    if num_negatives is None:
        return each
    dropped["negatives after the first"] += len(negatives) - num_negatives
    return TrainingList(each.where, each.query_id, each.query, (*positives, *negatives[:num_negatives]))


def _scores(rows: pa.Table, teacher: str) -> np.ndarray:
    if table.scale_of(rows, teacher) == "rank":
        raise ScaleError(
            f"teacher {teacher!r} only ranks, and training files of other tools hold scores for margins and softmaxes",
            where=f"column teacher.{teacher}",
            next_step="name another teacher with --teacher",
        )
    column = rows[table.TEACHER + teacher]
    if column.null_count:
        row = rows.filter(column.is_null()).slice(0, 1).to_pylist()[0]
        raise DataError(
            f"{column.null_count:,} rows have no score of teacher {teacher!r}",
            where=f"query_id {row['query_id']!r}, doc_id {row['doc_id']!r}",
            next_step=f"copy what a select stage with `teacher: {teacher}` gives, or score deeper",
        )
    return np.asarray(column.to_numpy())


def shortest(score: np.floating) -> float:
    """A float32 as the float with fewest digits that is it again in float32.

    >>> shortest(np.float32(0.1))
    0.1
    """
    return float(str(np.float32(score)))


def chosen_teacher(rows: pa.Table, asked: str | None, to: Format) -> str | None:
    """The teacher asked for, or the only one. Raises :class:`DataError` when it is not clear which, or none is there."""
    known = [name.removeprefix(table.TEACHER) for name in table.teacher_columns(rows)]
    if asked is not None:
        table.scale_of(rows, asked)
        return asked
    if len(known) > 1:
        raise DataError(
            "several teachers have scored these candidates",
            seen=", ".join(known),
            next_step=f"name the one whose scores are written: --teacher {known[0]}",
        )
    if not known and "scores" in to.needs:
        raise DataError(
            f"the format {to.name} is made of scores, and no teacher has scored these candidates",
            next_step="copy what a score stage gives, or a stage after it",
        )
    return known[0] if known else None
