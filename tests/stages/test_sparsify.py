"""The sparsify stage: weights for train, the other splits as they are, the same bytes twice."""

from pathlib import Path
from typing import Any

import pytest

from retkd import candidates
from retkd.selection.sparse_lists import sparse_lists
from retkd.selection.targets import Sampled
from retkd.stages.sparsify import Config, run
from tests.conftest import MakeInputs, files

CONFIG = Config(candidates="score", targets={"rs": Sampled(teacher="bm", num_draws=4)})


@pytest.fixture
def ready(inputs: MakeInputs, scored: Path) -> Any:
    def make(**changed: Any) -> Any:
        return inputs({"score": scored}, **changed)

    return make


def test_train_gets_weights_and_the_other_splits_pass(ready: Any, scored: Path, tmp_path: Path) -> None:
    metrics = run(CONFIG, ready(), tmp_path / "out")
    expected, dropped = sparse_lists(candidates.read(scored / "train"), CONFIG.targets, 1, ready().seed)
    found = candidates.read(tmp_path / "out" / "train")
    assert found.equals(expected)
    assert metrics.rows_dropped == dropped
    assert metrics.rows_in - metrics.rows_out == sum(dropped.values()) > 0
    assert metrics.values["rows_with_weight"]["rs"] == sum(w > 0 for w in found["teacher.rs"].to_pylist())
    for split in ("dev", "test"):
        assert candidates.read(tmp_path / "out" / split).equals(candidates.read(scored / split))


def test_twice_gives_the_same_bytes_and_another_seed_gives_others(ready: Any, tmp_path: Path) -> None:
    for name in ("first", "second"):
        run(CONFIG, ready(), tmp_path / name)
    run(CONFIG, ready(seed=14), tmp_path / "other")
    first, second, other = (files(tmp_path / name) for name in ("first", "second", "other"))
    assert first == second
    assert first["train/part-00000-of-00001.parquet"] != other["train/part-00000-of-00001.parquet"]
