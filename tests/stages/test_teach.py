"""The teach stage: a cross-encoder out of an encoder, from labels and mined negatives."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retkd import candidates
from retkd.cross_encoder import PairScorer
from retkd.errors import DataError
from retkd.selection.rules import select
from retkd.selection.samplers import Random
from retkd.stages.teach import Config, run
from tests.conftest import MakeInputs, files
from tests.faults import StopError, stop_after
from tests.tables import rows_of, written

CONFIG = Config(
    candidates="mine",
    base="base",
    sampler=Random(num_negatives=3),
    steps=6,
    batch_queries=4,
    learning_rate=1e-3,
    head_learning_rate=3e-3,
    warmup_steps=0,
    max_length=48,
    save_every=2,
    evaluate_every=3,
)


@pytest.fixture
def ready(inputs: MakeInputs, mined: Path, encoder_folder: Path) -> Any:
    def make(artifact: Path = mined, **changed: Any) -> Any:
        return inputs({"mine": artifact}, {"base": encoder_folder}, **changed)

    return make


def changed(**fields: Any) -> Config:
    return Config(**{**dict(CONFIG), **fields})


def test_it_publishes_a_cross_encoder_and_tells_what_it_did(ready: Any, tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder
    from torch.nn import Identity

    metrics = run(CONFIG, ready(), tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["model", "trace.jsonl", "work"]
    pairs = [("baco difun", "gale lemi nopa"), ("ruse", "baco " * 60)]
    peer = CrossEncoder(str(tmp_path / "out" / "model"), device="cpu", max_length=48)
    scores = PairScorer.load(tmp_path / "out" / "model", "cpu", 48, 16).score(pairs)
    assert scores == pytest.approx(peer.predict(pairs, activation_fn=Identity()), abs=1e-4)
    mined, inputs = candidates.read(ready().artifacts["mine"] / "train"), ready()
    rules: dict[str, Any] = {"filters": [], "sampler": CONFIG.sampler, "teacher": None, "unlabelled": "drop"}
    chosen = select(mined, inputs.collection, "train", **rules, seed=inputs.seed)
    rows, dropped = chosen.rows, chosen.dropped
    assert (metrics.rows_in, metrics.rows_out, metrics.rows_dropped) == (mined.num_rows, rows.num_rows, dropped)
    trace = [json.loads(line) for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    looks = {row["step"]: row["dev"]["nDCG@10"] for row in trace if "dev" in row}
    assert list(looks) == [3, 6]
    assert metrics.values["steps"] == 6
    assert metrics.values["dev_reranking_nDCG@10"] == looks[6]
    assert metrics.values["queries"] == 18


def test_twice_gives_the_same_bytes_and_a_change_gives_others(ready: Any, tmp_path: Path) -> None:
    first = run(CONFIG, ready(), tmp_path / "first")
    assert run(CONFIG, ready(), tmp_path / "second") == first
    assert files(tmp_path / "second") == files(tmp_path / "first")
    run(changed(frozen_layers=1), ready(), tmp_path / "frozen")
    run(CONFIG, ready(seed=14), tmp_path / "seed")
    weights = {files(tmp_path / name)["model/model.safetensors"] for name in ("first", "frozen", "seed")}
    assert len(weights) == 3


@pytest.mark.parametrize("head", ["classifier", "segments"])
def test_stopped_and_run_again_it_gives_the_same_bytes(
    ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    """With the optimiser of the two rates, which is not the trainer's own."""
    config = changed(head=head)
    run(config, ready(), tmp_path / "undisturbed")
    with monkeypatch.context() as patch:
        stop_after(5, patch)
        with pytest.raises(StopError):
            run(config, ready(), tmp_path / "out")
    for _ in ("resumed", "trained to the end, and stopped before it was published"):
        run(config, ready(), tmp_path / "out")
        assert files(tmp_path / "out") == files(tmp_path / "undisturbed")


def test_it_learns_to_tell_positives_from_negatives(ready: Any, tmp_path: Path) -> None:
    """Sixty steps: the mean loss over the last ten is below half of that over the first ten."""
    told = {"learning_rate": 3e-3, "head_learning_rate": None, "schedule": "constant_with_warmup", "batch_queries": 8}
    run(changed(steps=60, evaluate_every=None, save_every=100, **told), ready(), tmp_path / "out")
    losses = [json.loads(line)["loss"] for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])


def test_without_a_judged_positive_there_is_nothing_to_teach(ready: Any, tmp_path: Path) -> None:
    rows = rows_of({"q0": [("d0", 3.0, None), ("d1", 2.0, 0)]})
    artifact = written(rows, tmp_path / "artifact" / "train").parent
    with pytest.raises(DataError) as error:
        run(CONFIG, ready(artifact), tmp_path / "out")
    assert str(error.value).startswith("there are no candidate lists to train on\n  where: split train\n")
