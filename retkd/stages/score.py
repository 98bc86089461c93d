"""Let teachers score the candidates: one column per teacher, each pair scored once."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from retkd.parts import Candidates
from retkd.stage import Inputs, Metrics, StageConfig
from retkd.teachers import AnyTeacher

NAME = "score"
VERSION = 2
SEEDED = False
VOLATILE: tuple[str, ...] = ()
OUTPUTS = ("candidates",)


class Config(StageConfig):
    """Which teachers score which rows."""

    kind: Literal["score"] = "score"
    candidates: Candidates
    teachers: dict[str, AnyTeacher] = Field(min_length=1, description="column name -> teacher, scored in this order")
    depth: dict[str, int] = Field(
        default={},
        description="split -> rank down to which rows are scored (in train, judged positives always are); default: all",
    )


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Publish the same tables with the columns ``teacher.NAME``.

    Beside them lie ``disagreement.json`` when there are two teachers, and NAME.log.jsonl of what a teacher had to mend.
    """
    from retkd import candidates as table
    from retkd.collections.base import require_splits
    from retkd.shards import atomic, shard_name
    from retkd.teachers.base import Rows, require_whole

    require_splits(inputs.collection, config.depth, "depth")
    source = inputs.artifacts[config.candidates]
    tables = {split: table.read(source / split) for split in table.splits(source)}
    chosen = {split: _chosen(rows, config.depth.get(split), split) for split, rows in tables.items()}
    metrics = Metrics(rows_in=sum(rows.num_rows for rows in tables.values()))
    for name, teacher in config.teachers.items():
        splits = [Rows(split, rows, chosen[split]) for split, rows in tables.items()]
        judged = teacher.judge(name, splits, inputs, out / "work")
        require_whole(name, splits, judged)
        assert not teacher.scales or judged.scale in teacher.scales
        for split in tables:
            tables[split] = _with_column(tables[split], name, chosen[split], split, judged)
        metrics.values[name] = {
            "scale": judged.scale,
            "rows": sum(map(len, judged.scores.values())) - sum(int(left.sum()) for left in judged.unscored.values()),
            **judged.told,
        }
        metrics.timings |= {f"{name}_new_pairs": judged.num_new}
        metrics.timings |= {f"{name}_{what}": value for what, value in judged.timings.items()}
        _write_log(judged.log, out / f"{name}.log.jsonl")
        if judged.truncation_rate is not None:
            metrics.truncation_rate[name] = judged.truncation_rate
    for split, rows in tables.items():
        with atomic(out / split / shard_name(0, 1)) as temporary:
            table.write(table.checked(rows), temporary, {"retkd.key": inputs.key})
    _tell_disagreement(config, inputs, tables, out)
    metrics.rows_out = metrics.rows_in
    unscored = metrics.rows_in - sum(map(len, chosen.values()))
    metrics.values["rows_below_depth"] = unscored
    return metrics


def _tell_disagreement(config: Config, inputs: Inputs, tables: dict[str, Any], out: Path) -> None:
    """Ensembles are left out: they agree with their members by making."""
    from retkd import candidates as table
    from retkd.shards import atomic
    from retkd.teachers.disagreement import disagreement

    columns = dict.fromkeys(name for rows in tables.values() for name in table.teacher_columns(rows))
    names = [name.removeprefix(table.TEACHER) for name in columns]
    ensembles = {name for name, teacher in config.teachers.items() if teacher.kind == "ensemble"}
    told = disagreement(tables, [name for name in names if name not in ensembles], inputs.collection)
    if told:
        with atomic(out / "disagreement.json") as temporary:
            temporary.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _chosen(rows: Any, depth: int | None, split: str) -> Any:
    import numpy as np

    if depth is None:
        return np.arange(rows.num_rows)
    deep_enough = rows["rank"].to_numpy() <= depth
    if split == "train":
        deep_enough |= rows["relevance"].fill_null(0).to_numpy() > 0
    return np.flatnonzero(deep_enough)


def _with_column(rows: Any, name: str, chosen: Any, split: str, judged: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    from retkd import candidates as table

    column = np.zeros(rows.num_rows, dtype=np.float32)
    absent = np.ones(rows.num_rows, dtype=bool)
    if split in judged.scores and len(chosen):
        unscored = judged.unscored.get(split, False)
        column[chosen] = np.where(unscored, 0.0, judged.scores[split])
        absent[chosen] = unscored
    return table.with_teacher(rows, name, pa.array(column, pa.float32(), mask=absent), judged.scale)


def _write_log(log: list[dict[str, Any]], path: Path) -> None:
    from retkd.shards import atomic

    if log:
        with atomic(path) as temporary:
            lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in log)
            temporary.write_text("".join(lines), encoding="utf-8")
