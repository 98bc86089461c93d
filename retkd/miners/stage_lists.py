"""What another mine stage has found: with `fused`, the union of lists that were mined for different texts of a query."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from retkd.collections.base import Query
from retkd.errors import DataError
from retkd.miners.base import NOTHING, Miner, Ranking
from retkd.parts import Candidates
from retkd.stage import Inputs


class StageLists(Miner):
    """The lists of a candidates table, in its order. Judged positives that no miner found are left out.

    Two stages mine with two rewrites of each turn (two views of the collection); this brings their lists together:
    ``{kind: fused, miners: [{kind: stage, candidates: mine_a, name: a}, {kind: stage, candidates: mine_b, name: b}]}``.
    """

    kind: Literal["stage"] = "stage"
    candidates: Candidates

    def prepare(self, inputs: Inputs) -> object:
        """split -> query_id -> its ranking, read as splits are asked for."""
        return {}

    def rank(
        self, queries: Sequence[Query], inputs: Inputs, prepared: object, depth: int, split: str | None
    ) -> list[Ranking]:
        """The first ``depth`` documents of each query; a query that the stage has nothing for gets none."""
        assert split is not None, "the stage says which split it mines"
        read: Any = prepared
        if split not in read:
            read[split] = self._read(split, inputs)
        return [_first(read[split].get(query.query_id, NOTHING), depth) for query in queries]

    def _read(self, split: str, inputs: Inputs) -> dict[str, Ranking]:
        from retkd import candidates as table

        folder = inputs.artifacts[self.candidates]
        if split not in table.splits(folder):
            raise DataError(
                f"the stage {self.candidates!r} has no candidates of the split {split!r}",
                where="miner stage, key candidates",
                seen=", ".join(table.splits(folder)),
                next_step=f"mine {split} there too, or leave it out of this stage's `splits`",
            )
        rows = table.only_mined(table.read(folder / split))
        doc_ids, scores = rows["doc_id"].to_pylist(), rows["score"].to_numpy().astype(np.float32)
        return {
            query_id: Ranking(doc_ids[start:stop], _falling(scores[start:stop]), [self.source] * (stop - start))
            for query_id, start, stop in table.groups(rows)
        }


def _falling(scores: np.ndarray) -> np.ndarray:
    """The scores where they fall with the ranks, else 1 / rank: a fused table's may not."""
    if np.all(scores[1:] <= scores[:-1]):
        return scores
    return (1.0 / np.arange(1, len(scores) + 1)).astype(np.float32)


def _first(ranking: Ranking, depth: int) -> Ranking:
    return ranking.rows(range(min(depth, len(ranking.doc_ids))))
