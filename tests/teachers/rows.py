"""Rows of the tiny collection for teachers to judge."""

import numpy as np
import pyarrow as pa

from retkd.teachers.base import Rows
from tests.tables import rows_of


def lists(split: str, first_query: int, num_queries: int = 3, depth: int = 8) -> pa.Table:
    """For query ``qN`` of the tiny collection: its own document ``dN``, relevant, and those that follow it."""
    return rows_of(
        {
            f"q{q}": [(f"d{(q + i) % 60}", float(depth - i), 1 if i == 0 else None) for i in range(depth)]
            for q in range(first_query, first_query + num_queries)
        }
    )


def everything(split: str, table: pa.Table) -> Rows:
    """All rows of a split."""
    return Rows(split, table, np.arange(table.num_rows))


def two_splits() -> list[Rows]:
    """Some of train and some of dev."""
    return [everything("train", lists("train", 0)), everything("dev", lists("dev", 18, num_queries=2))]
