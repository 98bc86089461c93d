"""Select what the student learns from: drop false negatives, sample, audit; grade and group where that is asked for."""

import json
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from retkd.parts import Candidates
from retkd.selection import AnyFilter, AnyLabels, AnySampler
from retkd.selection.clusters import Clusters
from retkd.selection.judgements import Audited
from retkd.selection.repeats import Repeats
from retkd.stage import Inputs, Metrics, StageConfig

NAME = "select"
VERSION = 2
SEEDED = True
VOLATILE: tuple[str, ...] = ()
OUTPUTS = ("candidates",)


class Config(StageConfig):
    """Rules for the training split; the other splits pass through as they are."""

    LATER: ClassVar[tuple[str, ...]] = ("repeats",)

    kind: Literal["select"] = "select"
    candidates: Candidates
    filters: list[AnyFilter] = []
    sampler: AnySampler
    teacher: str | None = Field(default=None, description="rows that this teacher has not scored are dropped")
    unlabelled: Literal["drop", "keep"] = Field(
        default="drop",
        description="train queries without a judged positive: a teacher can rank them, InfoNCE cannot use them",
    )
    labels: AnyLabels | None = Field(default=None, description="graded targets, written as a teacher column")
    clusters: Clusters | None = Field(default=None, description="topics of the queries, for `batches: by_topic`")
    repeats: Repeats | None = Field(
        default=None, description="queries that a student gets wrong, for `batches: {kind: oversampled}`"
    )
    audit: Audited = Audited()


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Publish the selected table, the other splits, ``audit.json``; what `clusters` and `repeats` make beside them."""
    from retkd import candidates as table

    metrics = Metrics()
    metrics.rows_in, metrics.rows_out = table.copy_with(
        inputs.artifacts[config.candidates], out, inputs.key, lambda rows: _selected(config, inputs, rows, metrics, out)
    )
    return metrics


def _selected(config: Config, inputs: Inputs, rows: Any, metrics: Metrics, out: Path) -> Any:
    from retkd import candidates as table
    from retkd.selection.rules import select
    from retkd.shards import atomic

    if config.teacher is not None:
        table.scale_of(rows, config.teacher)
    if config.repeats is not None:
        config.repeats.check(rows)
    chosen = select(rows, inputs.collection, "train", **_rules(config), seed=inputs.seed)
    metrics.rows_dropped = chosen.dropped
    told = _audit(config, inputs, rows, chosen)
    with atomic(out / "audit.json") as temporary:
        temporary.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    query_ids = list(dict.fromkeys(chosen.rows["query_id"].to_pylist()))
    metrics.values["checks"] = {name: check["count"] for name, check in told["checks"].items()}
    metrics.values["queries"] = len(query_ids)
    if chosen.num_pseudo_positives:
        metrics.values["pseudo_positives"] = chosen.num_pseudo_positives
    if config.clusters is not None:
        metrics.values["clusters"] = _write_clusters(config.clusters, query_ids, inputs, out)
    if config.repeats is not None:
        metrics.values["repeats"] = _write_repeats(config.repeats, rows, query_ids, inputs, out)
    return chosen.rows if config.labels is None else config.labels.applied(chosen.rows)


def _rules(config: Config) -> dict[str, Any]:
    return {name: getattr(config, name) for name in ("filters", "sampler", "teacher", "unlabelled")}


def _audit(config: Config, inputs: Inputs, rows: Any, chosen: Any) -> dict[str, Any]:
    from retkd.selection.audit import audit
    from retkd.selection.false_negatives import measured
    from retkd.selection.samples import negatives_to_judge

    collection, count = inputs.collection, config.audit.num_negatives
    return {
        **audit(chosen.rows, collection, "train", chosen.dropped, rows.num_rows),
        "negatives_to_judge": negatives_to_judge(chosen.rows, collection, "train", count, inputs.seed),
        "false_negatives": measured(rows, collection, "train", config.audit, **_rules(config), seed=inputs.seed),
    }


def _write_repeats(repeats: Repeats, rows: Any, query_ids: list[str], inputs: Inputs, out: Path) -> dict[str, Any]:
    """Which queries are errors, over all their candidates. Where they have not become fewer, none is repeated."""
    import numpy as np

    from retkd.training.query_order import write_repeats

    times, errors, told = repeats.times_of(rows, query_ids)
    if repeats.before is not None and not repeats.fewer(told["errors"], inputs.artifacts[repeats.before]):
        times, told = np.ones_like(times), {**told, "repeated": 0}
    write_repeats(query_ids, times, errors, out)
    return told


def _write_clusters(clusters: Clusters, query_ids: list[str], inputs: Inputs, out: Path) -> dict[str, int]:
    import numpy as np

    from retkd.training.query_order import write_topics

    topics = clusters.topics(query_ids, "train", inputs)
    write_topics(query_ids, topics, out)
    sizes = np.bincount(topics, minlength=clusters.num_clusters)
    return {"count": int((sizes > 0).sum()), "smallest": int(sizes[sizes > 0].min()), "largest": int(sizes.max())}
