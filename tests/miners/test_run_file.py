"""Run files as miners, on a collection of three documents whose splits share a query id."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from retkd.errors import DataError
from retkd.miners import AnyMiner
from retkd.miners.run_file import RunFile
from retkd.stage import Inputs
from tests.conftest import MakeInputs, opened
from tests.tables import beir

DOCUMENTS = {"d0": "zero", "d1": "one", "d2": "two"}
QUERIES = {"t": "train", "v": "dev", "both": "of two splits"}
QRELS = {"train": {"t": {"d0": 1}, "both": {"d0": 1}}, "dev": {"v": {"d1": 1}, "both": {"d1": 1}}}
RUN = "t Q0 d1 2 3.5 x\nt Q0 d0 1 4.0 x\nv Q0 d2 1 0.5 x\nboth Q0 d2 1 1 x\nboth Q0 d0 2 1 x\n"


@pytest.fixture
def ready(inputs: MakeInputs, tmp_path: Path) -> Inputs:
    folder = beir(tmp_path / "beir", DOCUMENTS, QUERIES, QRELS)
    return inputs(collection=opened(folder, tmp_path / "cache"))


def written(folder: Path, text: str, name: str = "a.run") -> str:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return str(path)


def found(miner: RunFile, ready: Inputs, split: str) -> dict[str, tuple[list[str], list[float]]]:
    queries = ready.collection.queries(split)
    rankings = miner.mine(queries, ready, miner.prepare(ready), split)
    assert all(ranking.sources == [miner.source] * len(ranking.doc_ids) for ranking in rankings)
    return {q.query_id: (r.doc_ids, r.scores.tolist()) for q, r in zip(queries, rankings, strict=True)}


@pytest.mark.parametrize("name", ["a.run", "a.run.gz"])
def test_one_run_for_all_splits_in_the_order_of_its_ranks(ready: Inputs, tmp_path: Path, name: str) -> None:
    miner = RunFile(run=written(tmp_path, RUN, name), name="lexical")
    both = (["d2", "d0"], [1.0, 1.0])
    assert found(miner, ready, "train") == {"t": (["d0", "d1"], [4.0, 3.5]), "both": both}
    assert found(miner, ready, "dev") == {"v": (["d2"], [0.5]), "both": both}
    assert found(miner.model_copy(update={"skip": 1, "depth": 1}), ready, "train")["t"] == (["d1"], [3.5])


def test_a_run_for_each_split_where_both_have_the_query(ready: Inputs, tmp_path: Path) -> None:
    train = written(tmp_path, "both Q0 d0 1 2 x\n", "train")
    dev = written(tmp_path, "both Q0 d1 1 2 x\n", "dev")
    miner = RunFile(run={"train": train, "dev": dev})
    assert found(miner, ready, "train") == {"t": ([], []), "both": (["d0"], [2.0])}
    assert found(miner, ready, "dev")["both"] == (["d1"], [2.0])


def error_of(miner: RunFile, ready: Inputs, split: str = "train") -> str:
    with pytest.raises(DataError) as error:
        found(miner, ready, split)
    return str(error.value)


def test_unknown_queries(ready: Inputs, tmp_path: Path) -> None:
    path = written(tmp_path, RUN + "u Q0 d0 1 1 x\nw Q0 nowhere 1 1 x\n")
    assert error_of(RunFile(run=path), ready) == (
        "the run ranks a query that the collection does not have\n"
        f"  where: {path}:6\n"
        "  seen: query_id 'u' and 1 more\n"
        "  next step: take a run that was made for this collection, or set extra_queries: ignore"
    )
    assert len(found(RunFile(run=path, extra_queries="ignore"), ready, "train")["t"][0]) == 2
    assert f"{path}:1\n" in error_of(RunFile(run={"dev": path}), ready, "dev")


def test_queries_that_the_sample_leaves_out_are_known(ready: Inputs, inputs: MakeInputs, tmp_path: Path) -> None:
    from retkd.collections.beir import Beir

    sampled = Beir(path=tmp_path / "beir", sample={"train": 1}).open(tmp_path / "cache")
    miner = RunFile(run=written(tmp_path, RUN))
    assert len(found(miner, inputs(collection=sampled), "train")) == 1


def test_an_unknown_document(ready: Inputs, tmp_path: Path) -> None:
    path = written(tmp_path, RUN + "v Q0 d9 2 0.4 x\nv Q0 d8 3 0.4 x\n")
    assert error_of(RunFile(run=path), ready) == (
        "the run ranks a document that the collection does not have\n"
        f"  where: {path}:6\n"
        "  seen: doc_id 'd9' (query_id 'v')\n"
        "  allowed: ids of its 3 documents\n"
        "  next step: take a run that was made from this collection"
    )


def test_a_repeated_document(ready: Inputs, tmp_path: Path) -> None:
    path = written(tmp_path, RUN + "t Q0 d0 3 1.0 x\n")
    told = error_of(RunFile(run=path), ready)
    assert "a run ranks a document twice for one query" in told
    assert f"{path}:6\n" in told
    assert "also on line 2" in told


def test_a_split_without_a_run(ready: Inputs, tmp_path: Path) -> None:
    path = written(tmp_path, "t Q0 d0 1 1 x\n")
    told = (
        "no run ranks the queries of the split 'dev'\n"
        "  where: miner run_file, key run\n"
        "  seen: {}: {}\n"
        "  next step: give a run for it (run: {{dev: PATH}}), or leave it out of the mine stage's `splits`"
    )
    assert error_of(RunFile(run=path), ready, "dev") == told.format("*", path)
    assert error_of(RunFile(run={"train": path}), ready, "dev") == told.format("train", path)
    assert "has no split 'trian'" in error_of(RunFile(run={"trian": path}), ready)


@pytest.mark.parametrize(
    ("run", "told"), [({}, "at least 1 item"), (5, "valid dictionary"), ({"dev": 3}, "valid string")]
)
def test_a_run_is_a_path_or_paths(run: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        TypeAdapter(AnyMiner).validate_python({"kind": "run_file", "run": run})
