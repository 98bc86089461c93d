from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from retkd.collections.base import Collection
from retkd.miners.base import Ranking
from retkd.miners.bm25 import BM25
from retkd.miners.dense import DenseMiner
from retkd.miners.fused import Fused, fuse
from tests.conftest import MakeInputs


def ranking(source: str, *doc_ids: str) -> Ranking:
    return Ranking(list(doc_ids), np.linspace(9, 1, len(doc_ids), dtype=np.float32), [source] * len(doc_ids))


def test_the_sums_of_reciprocal_ranks_by_hand() -> None:
    found = fuse([ranking("bm25", "a", "b", "c"), ranking("dense", "b", "d")], k=60.0, depth=10)
    assert found.doc_ids == ["b", "a", "d", "c"]
    assert found.scores == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62, 1 / 63], rel=1e-6)
    assert found.sources == ["bm25+dense", "bm25", "dense", "bm25"]


def test_equal_sums_stand_by_id_also_at_the_cut() -> None:
    lists = [ranking("bm25", "z", "m"), ranking("dense", "m", "z"), ranking("third", "a")]
    assert fuse(lists, k=60.0, depth=10).doc_ids == ["m", "z", "a"]
    assert fuse(lists, k=60.0, depth=1).doc_ids == ["m"]


def test_a_miner_that_found_nothing_changes_nothing() -> None:
    alone = fuse([ranking("bm25", "a", "b")], k=60.0, depth=5)
    assert fuse([ranking("bm25", "a", "b"), ranking("dense")], k=60.0, depth=5).doc_ids == alone.doc_ids == ["a", "b"]
    assert fuse([ranking("bm25"), ranking("dense")], k=60.0, depth=5).doc_ids == []


def test_it_fuses_what_its_miners_find(inputs: MakeInputs, collection: Collection, encoder_folder: Path) -> None:
    miners = [BM25(depth=5), DenseMiner(depth=5, model="base")]
    ready, queries = inputs(models={"base": encoder_folder}), collection.queries("dev")
    fused = Fused(depth=4, miners=miners)
    found = fused.mine(queries, ready, fused.prepare(ready))
    lists = [miner.mine(queries, ready, miner.prepare(ready)) for miner in miners]
    for ranking_, pair in zip(found, zip(*lists, strict=True), strict=True):
        expected = fuse(pair, 60.0, 4)
        assert (ranking_.doc_ids, ranking_.sources) == (expected.doc_ids, expected.sources)
        assert len(ranking_.doc_ids) == 4


def test_one_miner_cannot_be_fused() -> None:
    with pytest.raises(ValidationError, match="at least 2 items"):
        Fused(miners=[BM25()])
