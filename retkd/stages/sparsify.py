"""Keep a teacher's distribution over long lists as the weights of a few documents."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from retkd.parts import Candidates
from retkd.selection.targets import AnyTarget
from retkd.stage import Inputs, Metrics, StageConfig

NAME = "sparsify"
VERSION = 1
SEEDED = True
VOLATILE: tuple[str, ...] = ()
OUTPUTS = ("candidates",)


class Config(StageConfig):
    """Targets of the training split; the other splits pass through as they are."""

    kind: Literal["sparsify"] = "sparsify"
    candidates: Candidates
    targets: dict[str, AnyTarget] = Field(min_length=1, description="column name -> how its weights are made")
    num_undrawn: int | None = Field(
        default=1,
        ge=0,
        description="rows without weight that stay in each list, by the miner's rank, so that the student's softmax has "
        "something to push down; null: all, and then the softmax is the whole list's",
    )


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Publish the sparse training table and the other splits."""
    from retkd import candidates as table
    from retkd.selection.sparse_lists import sparse_lists

    metrics = Metrics()

    def sparse(rows: Any) -> Any:
        rows, metrics.rows_dropped = sparse_lists(rows, config.targets, config.num_undrawn, inputs.seed)
        metrics.values["queries"] = len(rows["query_id"].unique())
        metrics.values["rows_with_weight"] = {
            name: int((rows[table.TEACHER + name].to_numpy() > 0).sum()) for name in config.targets
        }
        return rows

    source = inputs.artifacts[config.candidates]
    metrics.rows_in, metrics.rows_out = table.copy_with(source, out, inputs.key, sparse)
    return metrics
