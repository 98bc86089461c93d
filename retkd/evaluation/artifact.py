"""The files of an evaluation: written atomically, the same bytes for the same numbers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from retkd.evaluation.measures import Values
from retkd.shards import atomic

TOLD = ("measures", "gap", "won_lost", "scores")
"""One JSON file each, with one entry per split."""


def write_artifact(out: Path, results: Mapping[str, Mapping[str, Any]], protocol: Mapping[str, Any]) -> None:
    """Write the JSON files of ``results`` (split -> values, measures, gap, won_lost, scores, languages), per_query.parquet.

    languages.json is left out where no document or query tells its language.
    """
    for name in TOLD:
        _write_json(out / f"{name}.json", {split: result[name] for split, result in results.items()})
    _write_json(out / "protocol.json", protocol)
    languages = {split: result["languages"] for split, result in results.items() if result["languages"]}
    if languages:
        _write_json(out / "languages.json", languages)
    tables = [per_query(split, result["values"]) for split, result in results.items()]
    with atomic(out / "per_query.parquet") as temporary:
        pq.write_table(pa.concat_tables(tables).unify_dictionaries(), temporary, compression="zstd")


def per_query(split: str, values: Values) -> pa.Table:
    """One row per (split, system, measure, query): ``split, system, measure, query_id, value`` (float64)."""
    num_systems, num_measures, num_queries = values.values.shape
    columns = {
        "split": np.repeat([split], values.values.size),
        "system": np.repeat(values.systems, num_measures * num_queries),
        "measure": np.tile(np.repeat(values.measures, num_queries), num_systems),
    }
    encoded = {name: pa.array(column.tolist(), pa.string()).dictionary_encode() for name, column in columns.items()}
    query_ids = pa.array(values.query_ids * (num_systems * num_measures), pa.string())
    return pa.table({**encoded, "query_id": query_ids, "value": pa.array(values.values.ravel())})


def _write_json(path: Path, data: Any) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
