"""Select what the student learns from: drop false negatives, sample, audit."""

import json
from pathlib import Path
from typing import Literal

from pydantic import Field

from retkd.parts import Candidates
from retkd.selection import AnyFilter, AnySampler
from retkd.stage import Inputs, Metrics, StageConfig

NAME = "select"
VERSION = 1
SEEDED = True
VOLATILE: tuple[str, ...] = ()
OUTPUTS = ("candidates",)


class Config(StageConfig):
    """Rules for the training split; the other splits pass through as they are."""

    kind: Literal["select"] = "select"
    candidates: Candidates
    filters: list[AnyFilter] = []
    sampler: AnySampler
    teacher: str | None = Field(default=None, description="rows that this teacher has not scored are dropped")
    unlabelled: Literal["drop", "keep"] = Field(
        default="drop",
        description="train queries without a judged positive: a teacher can rank them, InfoNCE cannot use them",
    )


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Publish the selected table, the other splits, and ``audit.json``."""
    from retkd import candidates as table
    from retkd.selection.audit import audit
    from retkd.selection.rules import select
    from retkd.shards import atomic, shard_name

    source = inputs.artifacts[config.candidates]
    metrics = Metrics()
    for split in table.splits(source):
        rows = table.read(source / split)
        metrics.rows_in += rows.num_rows
        if split == "train":
            rows_in = rows.num_rows
            if config.teacher is not None:
                table.scale_of(rows, config.teacher)
            rows, dropped = select(
                rows,
                inputs.collection,
                split,
                filters=config.filters,
                sampler=config.sampler,
                teacher=config.teacher,
                unlabelled=config.unlabelled,
                seed=inputs.seed,
            )
            metrics.rows_dropped = dropped
            told = audit(rows, inputs.collection, split, dropped, rows_in)
            with atomic(out / "audit.json") as temporary:
                temporary.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            metrics.values["checks"] = {name: check["count"] for name, check in told["checks"].items()}
            metrics.values["queries"] = len(rows["query_id"].unique())
        metrics.rows_out += rows.num_rows
        with atomic(out / split / shard_name(0, 1)) as temporary:
            table.write(rows, temporary, {"retkd.key": inputs.key})
    return metrics
