"""Lists cut down to the documents that carry a sparse target."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from retkd import candidates as table
from retkd.errors import DataError
from retkd.selection.rules import Keep
from retkd.selection.samplers import generator_for
from retkd.selection.targets import Target


def sparse_lists(
    rows: pa.Table, targets: Mapping[str, Target], num_undrawn: int | None, seed: int
) -> tuple[pa.Table, dict[str, int]]:
    """The rows that stay, with a column ``teacher.NAME`` of weights for each target, and how many rows each reason took.

    A row stays when a target gives it weight, when it is a judged positive, or when it is among the first ``num_undrawn``
    others of its list by the miner's rank (``None``: all of them).
    """
    keep = Keep(rows.num_rows)
    for name, target in targets.items():
        _require(rows, name, target)
        unscored = rows[table.TEACHER + target.teacher].is_null().to_numpy(zero_copy_only=False)
        keep.drop(unscored, f"not scored by {target.teacher}")
    rows = rows.filter(pa.array(keep.rows))
    lists = list(table.groups(rows))
    carries = rows["relevance"].fill_null(0).to_numpy(zero_copy_only=False) > 0
    for name, target in targets.items():
        weights = _weights(rows, name, target, lists, seed)
        carries = carries | (weights > 0)
        rows = table.with_teacher(rows, name, weights.astype(np.float32), "distribution")
    stays = Keep(rows.num_rows)
    stays.drop(_surplus(carries, lists, num_undrawn), "no weight in a target")
    single = np.zeros(rows.num_rows, dtype=bool)
    for _, start, stop in lists:
        single[start:stop] = stays.rows[start:stop].sum() < 2
    stays.drop(single, "a single candidate left for the query")
    return rows.filter(pa.array(stays.rows)), {r: n for r, n in (keep.dropped + stays.dropped).items() if n}


def _require(rows: pa.Table, name: str, target: Target) -> None:
    table.require_scale(rows, target.teacher, target.SCALES, f"the target {name!r}", target.RULE)
    if table.TEACHER + name in rows.column_names:
        raise DataError(
            f"the candidates table has a teacher {name!r} already, and the target would take its place",
            where=f"key targets.{name}",
            next_step="give the target another name",
        )


def _weights(rows: pa.Table, name: str, target: Target, lists: list[tuple[str, int, int]], seed: int) -> np.ndarray:
    scores = rows[table.TEACHER + target.teacher].to_numpy(zero_copy_only=False)
    weights = np.zeros(rows.num_rows)
    for query_id, start, stop in lists:
        weights[start:stop] = target.weights(scores[start:stop], generator_for(seed, f"{name}|{query_id}"))
    return weights


def _surplus(carries: np.ndarray, lists: list[tuple[str, int, int]], num_undrawn: int | None) -> np.ndarray:
    """Rows without weight after the first ``num_undrawn`` of their list."""
    surplus = ~carries
    for _, start, stop in lists:
        undrawn = start + np.flatnonzero(surplus[start:stop])
        surplus[undrawn if num_undrawn is None else undrawn[:num_undrawn]] = False
    return surplus
