"""A recipe with a student of two exits, from the candidates to the report."""

import json
from pathlib import Path

import numpy as np
import pytest

from retkd import runner
from retkd.ask import ask
from retkd.encoders.encoder import Encoder
from retkd.exporters.onnx_encoder import OnnxEncoder
from retkd.recipe import load
from retkd.workspace import Workspace
from tests.tiny import tiny_collection, tiny_encoder

RECIPE = """\
name: exits
collection: {{kind: beir, path: {collection}}}
runtime: {{device: cpu, threads: 1}}
stages:
  mine: {{kind: mine, miner: {{kind: bm25, depth: 10}}}}
  train:
    kind: train
    candidates: mine
    student: {{kind: multi_exit, base: {encoder}, exits: [1, 2], heads: true}}
    objective: [{{kind: infonce}}, {{kind: self_distillation}}]
    steps: 2
    batch_queries: 4
  shallow: {{kind: index, model: "train:exit1", recipe: flat}}
  index: {{kind: index, model: train, recipe: flat}}
  evaluate:
    kind: evaluate
    depth: 20
    measures: [nDCG@10]
    num_resamples: 200
    systems:
      student: {{kind: dense, model: "train:exit1", index: shallow}}
      deep: {{kind: dense, model: "train:exit2", index: index}}
    controls: [zero_shot]
  shallow_export: {{kind: export, model: "train:exit1", measures: [nDCG@10]}}
  export: {{kind: export, model: train, measures: [nDCG@10]}}
  report: {{kind: report, evaluation: evaluate}}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("exits")
    encoder, collection = tiny_encoder(root / "encoder"), tiny_collection(root / "collection")
    path = root / "exits.yaml"
    path.write_text(RECIPE.format(encoder=encoder, collection=collection))
    assert runner.run(load(path), Workspace(root / "runs"))["complete"]
    return path, root / "runs"


def test_each_exit_is_indexed_evaluated_and_drawn(finished: tuple[Path, Path]) -> None:
    _, root = finished
    stages = json.loads((root / "exits" / "stages.json").read_text())
    folders = [root / "artifacts" / stages[name] for name in ("shallow", "index")]
    digests = [json.loads((folder / "index.json").read_text())["model_digest"] for folder in folders]
    assert digests[0] != digests[1]
    page = (root / "exits" / "report.html").read_text()
    assert 'id="exits"' in page
    assert ">exit 1 · " in page
    assert ">exit 2 · " in page
    assert "1 layer: 0." in page
    assert len(ask("baco", root, None, 3)) == 3


def test_each_exit_is_exported_as_a_graph_of_its_own(finished: tuple[Path, Path]) -> None:
    _, root = finished
    exports = [root / "exits" / "exports" / name for name in ("shallow_export", "export")]
    shallow, deep = (OnnxEncoder(folder / "onnx", threads=1) for folder in exports)
    trained = root / "artifacts" / json.loads((root / "exits" / "stages.json").read_text())["train"]
    for served, model in ((shallow, "models/exit1"), (deep, "model")):
        expected = Encoder.load(trained / model).encode(["baban coba", "a"], "query")
        assert np.allclose(served.encode(["baban coba", "a"], "query"), expected, atol=1e-5)
    assert not np.allclose(*(served.encode(["baban coba"], "query") for served in (shallow, deep)), atol=1e-2)


def test_it_stands_and_a_change_of_the_exit_runs_its_index_again(finished: tuple[Path, Path]) -> None:
    path, root = finished
    plan = {step.name: step for step in runner.plan(load(path), Workspace(root))}
    assert {step.action for step in plan.values()} == {"skip"}
    keys = [plan[name].told["params"]["model"] for name in ("shallow", "index")]  # type: ignore[index]
    assert keys[0] == keys[1] + ":exit1"
    other = ["stages.shallow.model=train:exit2", "stages.evaluate.systems.student.model=train:exit2"]
    changed = {s.name: s for s in runner.plan(load(path, other), Workspace(root))}
    assert changed["train"].action == "skip"
    assert changed["shallow"].action == "run"
