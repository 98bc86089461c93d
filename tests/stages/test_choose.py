"""The choose stage: the model that it takes, by measure and size, and what its manifest says of it."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from retkd import candidates
from retkd.encoders.encoder import Encoder
from retkd.errors import DataError
from retkd.evaluation.dev_reranking import Reranking
from retkd.stages.choose import Config, run
from tests.conftest import MakeInputs, files
from tests.tables import rows_of, written
from tests.tiny import tiny_encoder


@pytest.fixture
def ready(inputs: MakeInputs, mined: Path, encoder_folder: Path, tmp_path: Path) -> Any:
    """Two encoders, of two layers and of one; ``twin`` is the first again."""
    small = tiny_encoder(tmp_path / "small", seed=3, layers=1)
    models = {"big": encoder_folder, "small": small, "twin": encoder_folder}
    return lambda artifact=mined: inputs({"mine": artifact}, models)


def test_measure_and_size_of_each_decide(ready: Any, mined: Path, tmp_path: Path) -> None:
    metrics = run(Config(models=["big", "small"], candidates="mine"), ready(), tmp_path / "out")
    inputs = ready()
    lists = Reranking.of(candidates.read(mined / "dev"), inputs.collection, 200)
    expected = {}
    for ref in ("big", "small"):
        encoder = Encoder.load(inputs.models[ref].path)
        parameters = sum(p.numel() for p in encoder.model.parameters())
        measure = lists.measure_of(encoder, "nDCG@10", None)
        expected[ref] = {"nDCG@10": measure, "parameters": parameters, "score": measure}
    assert metrics.values["tried"] == expected
    assert metrics.values["rule"] == "greatest nDCG@10 on dev"
    best = max(expected, key=lambda ref: expected[ref]["nDCG@10"])
    assert metrics.values["chosen"] == best
    assert files(tmp_path / "out" / "model") == files(inputs.models[best].path)


def test_a_great_exponent_takes_the_smallest(ready: Any, tmp_path: Path) -> None:
    config = Config(models=["big", "small"], candidates="mine", size_exponent=20.0)
    metrics = run(config, ready(), tmp_path / "out")
    tried = metrics.values["tried"]
    assert metrics.values["chosen"] == "small"
    assert metrics.values["rule"] == "greatest nDCG@10 / parameters ** 20 on dev"
    assert tried["big"]["score"] == pytest.approx(tried["big"]["nDCG@10"] / tried["big"]["parameters"] ** 20)


def test_of_equals_the_first_and_twice_the_same_bytes(ready: Any, tmp_path: Path) -> None:
    config = Config(models=["big", "twin"], candidates="mine")
    first = run(config, ready(), tmp_path / "out")
    assert (first.values["chosen"], first.values["place"]) == ("big", 1)
    before = files(tmp_path / "out")
    assert run(config, ready(), tmp_path / "out") == first
    assert files(tmp_path / "out") == before


def test_a_single_model_needs_no_lists_and_several_do(ready: Any, tmp_path: Path) -> None:
    metrics = run(Config(models=["small"]), ready(), tmp_path / "out")
    assert metrics.values == {"chosen": "small", "place": 1, "of": 1}
    with pytest.raises(
        ValidationError, match="a choice among several models goes by dev: name a stage with `candidates`"
    ):
        Config(models=["big", "small"])


def test_candidates_without_dev(ready: Any, tmp_path: Path) -> None:
    artifact = written(rows_of({"q0": [("d0", 1.0, 1)]}), tmp_path / "bare" / "train").parent
    with pytest.raises(DataError) as error:
        run(Config(models=["big", "small"], candidates="mine"), ready(artifact), tmp_path / "out")
    assert str(error.value) == (
        "a choice among models goes by the dev split, and the candidates have none\n"
        "  where: candidates: mine\n"
        "  seen: splits: train\n"
        "  allowed: candidates with a split named dev\n"
        "  next step: mine the dev split too, or choose by hand"
    )
