"""The mine stage: the table it publishes, its shards, its counts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from retkd import candidates
from retkd.collections.base import Collection
from retkd.errors import RecipeError
from retkd.miners.base import Ranking
from retkd.miners.bm25 import BM25
from retkd.stages.mine import Config, query_rows, run
from tests.conftest import MakeInputs, files, opened
from tests.faults import StopError
from tests.tables import beir

CONFIG = Config(miner=BM25(depth=6), queries_per_shard=4)


def test_the_table_is_what_the_miner_found_with_judgements(
    inputs: MakeInputs, collection: Collection, tmp_path: Path
) -> None:
    ready = inputs()
    run(CONFIG, ready, tmp_path / "out")
    miner = BM25(depth=6)
    assert candidates.splits(tmp_path / "out") == ["dev", "test", "train"]
    for split in ("train", "dev", "test"):
        rows = candidates.read(tmp_path / "out" / split)
        queries = sorted(collection.queries(split), key=lambda query: query.query_id)
        rankings = miner.mine(queries, ready, miner.prepare(ready))
        judged = collection.qrels(split)
        expected: list[Any] = []
        for query, ranking in zip(queries, rankings, strict=True):
            expected += query_rows(query.query_id, ranking, judged[query.query_id], split == "train")
        assert [tuple(row.values()) for row in rows.to_pylist()] == expected


RANKING = Ranking(["a", "b", "c"], np.array([3.0, 2.0, 1.5], dtype=np.float32), ["bm25", "bm25", "dense"])
MINED = [("q", "a", 1, 3.0, "bm25", 0), ("q", "b", 2, 2.0, "bm25", None), ("q", "c", 3, 1.5, "dense", 2)]
JUDGED = {"a": 0, "c": 2, "z": 1, "y": 3, "x": 0}


def test_positives_that_no_miner_found_come_last_where_they_are_asked_for() -> None:
    """By id, with the lowest score; a document judged not relevant is not brought."""
    missing = [("q", "y", 4, 1.5, "qrels", 3), ("q", "z", 5, 1.5, "qrels", 1)]
    assert query_rows("q", RANKING, JUDGED, add_positives=True) == MINED + missing
    assert query_rows("q", RANKING, JUDGED, add_positives=False) == MINED
    empty = Ranking([], np.zeros(0, np.float32), [])
    assert query_rows("q", empty, {"z": 1}, add_positives=True) == [("q", "z", 1, 0.0, "qrels", 1)]


def test_positives_are_added_to_the_training_split_alone(inputs: MakeInputs, tmp_path: Path) -> None:
    texts = {"d0": "cats", "d1": "dogs"}
    qrels = {split: {f"q-{split}": {"d1": 1}} for split in ("train", "dev")}
    folder = beir(tmp_path / "beir", texts, {"q-train": "cats", "q-dev": "cats"}, qrels)
    ready = inputs(collection=opened(folder, tmp_path / "cache"))
    metrics = run(Config(miner=BM25()), ready, tmp_path / "out")
    train = candidates.read(tmp_path / "out" / "train").to_pylist()
    assert [(row["doc_id"], row["source"], row["relevance"]) for row in train] == [
        ("d0", "bm25", None),
        ("d1", "qrels", 1),
    ]
    assert candidates.read(tmp_path / "out" / "dev")["doc_id"].to_pylist() == ["d0"]
    assert metrics.values["train"] == {
        "queries": 1,
        "rows": 2,
        "judged_positives": 1,
        "positives_found": 0,
        "sources": {"bm25": 1, "qrels": 1},
    }
    assert (metrics.rows_in, metrics.rows_out) == (2, 3)


def test_twice_gives_the_same_bytes_and_another_depth_gives_others(inputs: MakeInputs, tmp_path: Path) -> None:
    first = run(CONFIG, inputs(), tmp_path / "first")
    assert run(CONFIG, inputs(store=tmp_path / "fresh"), tmp_path / "second") == first
    assert files(tmp_path / "second") == files(tmp_path / "first")
    run(CONFIG.model_copy(update={"miner": BM25(depth=5)}), inputs(), tmp_path / "other")
    assert not set(files(tmp_path / "other").values()) & set(files(tmp_path / "first").values())


def test_shards_cut_the_table_and_carry_the_key(inputs: MakeInputs, tmp_path: Path) -> None:
    run(CONFIG, inputs(), tmp_path / "parts")
    parts = candidates.parts(tmp_path / "parts" / "train")
    assert [path.name for path in parts] == [f"part-{i:05d}-of-00005.parquet" for i in range(5)]
    assert all(pq.read_schema(path).metadata[b"retkd.key"] == b"0" * 64 for path in parts)
    assert [len(pq.read_table(path)["query_id"].unique()) for path in parts] == [4, 4, 4, 4, 2]
    run(CONFIG.model_copy(update={"queries_per_shard": 100}), inputs(), tmp_path / "whole")
    whole = candidates.read(tmp_path / "whole" / "train")
    assert candidates.read(tmp_path / "parts" / "train").equals(whole)


def test_stopped_between_shards_it_goes_on_to_the_same_bytes(
    inputs: MakeInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(CONFIG, inputs(), tmp_path / "undisturbed")
    mine, asked = BM25.mine, []

    def counted(self: BM25, queries: Sequence[Any], *args: Any) -> Any:
        asked.append([query.query_id for query in queries])
        if len(asked) == 3:
            raise StopError
        return mine(self, queries, *args)

    monkeypatch.setattr(BM25, "mine", counted)
    with pytest.raises(StopError):
        run(CONFIG, inputs(), tmp_path / "out")
    assert len(files(tmp_path / "out")) == 2
    (tmp_path / "out" / "train" / ".part-00002-of-00005.parquet.tmp-1").write_bytes(b"half of a shard")
    run(CONFIG, inputs(), tmp_path / "out")
    (tmp_path / "out" / "train" / ".part-00002-of-00005.parquet.tmp-1").unlink()
    assert files(tmp_path / "out") == files(tmp_path / "undisturbed")
    assert asked[3] == asked[2]
    assert len(asked) == 3 + 3 + 2 + 2


def test_which_splits(inputs: MakeInputs, tmp_path: Path) -> None:
    run(Config(miner=BM25(), splits="evaluation"), inputs(), tmp_path / "evaluation")
    assert candidates.splits(tmp_path / "evaluation") == ["dev", "test"]
    run(Config(miner=BM25(), splits=["test"]), inputs(), tmp_path / "test")
    assert candidates.splits(tmp_path / "test") == ["test"]
    with pytest.raises(
        RecipeError, match=r"the collection has no split 'tset'\n(.*\n)*  next step: did you mean 'test'\?"
    ):
        run(Config(miner=BM25(), splits=["tset"]), inputs(), tmp_path / "none")
