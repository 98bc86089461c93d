"""Mine candidates for the queries of each split."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from retkd.miners import AnyMiner
from retkd.parts import Queries
from retkd.stage import Inputs, Metrics, StageConfig

NAME = "mine"
VERSION = 1
SEEDED = False
VOLATILE: tuple[str, ...] = ()
OUTPUTS = ("candidates",)


class Config(StageConfig):
    """Who mines, for which splits."""

    kind: Literal["mine"] = "mine"
    miner: AnyMiner
    splits: Literal["all", "evaluation"] | list[str] = Field(
        default="all", description="all: train, dev, test that exist; evaluation: dev, test that exist; or a list"
    )
    add_positives: list[str] = Field(
        default=["train"], description="splits whose judged positives join the list when no miner found them"
    )
    queries_per_shard: int = Field(default=2048, ge=1)
    queries: Queries | None = Field(
        default=None,
        description="a stage of kind generate, whose queries take the place of the collection's split train, here and in "
        "all stages that read these candidates",
    )


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Publish one candidates table per split."""
    from retkd.collections.base import chosen_splits, require_splits
    from retkd.indexing.search import open_for
    from retkd.shards import ranges, shard_map, shard_name

    require_splits(inputs.collection, config.add_positives, "add_positives")
    metrics = Metrics()
    prepared: list[Any] = []
    for split in chosen_splits(inputs.collection, config.splits):
        queries = inputs.collection.queries(split)
        plan = ranges(len(queries), config.queries_per_shard)
        paths = [out / split / shard_name(i, len(plan)) for i in range(len(plan))]
        if not prepared and not all(path.exists() for path in paths):
            config.miner.require_documents(inputs.collection)
            prepared.append(config.miner.prepare(replace(inputs, open_index=partial(open_for, inputs.runtime))))
        write = partial(_write_shard, config, inputs, split, sorted(queries, key=lambda q: q.query_id), plan, prepared)
        shard_map(write, paths, label=f"mine {split}: {len(queries):,} queries (shards)")
        _count(metrics, inputs, split, out / split)
    return metrics


def _write_shard(
    config: Config,
    inputs: Inputs,
    split: str,
    queries: Sequence[Any],
    plan: list[tuple[int, int]],
    prepared: list[Any],
    index: int,
    path: Path,
) -> None:
    from retkd import candidates as table

    start, stop = plan[index]
    rankings = config.miner.mine(queries[start:stop], inputs, prepared[0], split)
    qrels = inputs.collection.qrels(split)
    rows: list[tuple[Any, ...]] = []
    for query, ranking in zip(queries[start:stop], rankings, strict=True):
        rows += query_rows(query.query_id, ranking, qrels.get(query.query_id, {}), split in config.add_positives)
    columns = list(zip(*rows, strict=True)) if rows else [()] * 6
    table.write(table.table(*columns), path, {"retkd.key": inputs.key})


def query_rows(query_id: str, ranking: Any, judged: dict[str, int], add_positives: bool) -> list[tuple[Any, ...]]:
    """The table rows of one query. Positives that were not found come last, with the lowest score and source ``qrels``."""
    import numpy as np

    from retkd.candidates import QRELS

    rows: list[tuple[Any, ...]] = [
        (query_id, doc_id, rank, score, source, judged.get(doc_id))
        for rank, (doc_id, score, source) in enumerate(
            zip(ranking.doc_ids, ranking.scores, ranking.sources, strict=True), 1
        )
    ]
    if add_positives:
        found = set(ranking.doc_ids)
        lowest = ranking.scores[-1] if len(ranking.scores) else np.float32(0)
        missing = sorted(doc_id for doc_id, grade in judged.items() if grade > 0 and doc_id not in found)
        rows += [
            (query_id, doc_id, len(ranking.doc_ids) + i, lowest, QRELS, judged[doc_id])
            for i, doc_id in enumerate(missing, 1)
        ]
    return rows


def _count(metrics: Metrics, inputs: Inputs, split: str, folder: Path) -> None:
    import pyarrow.compute as pc

    from retkd import candidates as table

    rows = table.read(folder)
    metrics.rows_in += len(inputs.collection.queries(split))
    metrics.rows_out += rows.num_rows
    mined = table.only_mined(rows)
    found = set(
        zip(
            *[mined.filter(pc.greater(mined["relevance"], 0))[c].to_pylist() for c in ("query_id", "doc_id")],
            strict=True,
        )
    )
    qrels = inputs.collection.qrels(split)
    positives = [(q, d) for q, judged in qrels.items() for d, grade in judged.items() if grade > 0]
    metrics.values[split] = {
        "queries": len(inputs.collection.queries(split)),
        "rows": rows.num_rows,
        "judged_positives": len(positives),
        "positives_found": sum(pair in found for pair in positives),
        "sources": dict(
            sorted((v["values"], v["counts"]) for v in rows["source"].cast("string").value_counts().to_pylist())
        ),
    }
