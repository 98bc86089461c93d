"""A cross-encoder's graph gives its scores, for both kinds of head; what cannot be a graph is refused."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retkd.digests import FileDigests
from retkd.errors import MissingExtraError, ModelError
from retkd.matchers import pair_graph
from retkd.matchers.cross_encoder import PairScorer
from retkd.matchers.pair_graph import load_graph, write_graph
from retkd.matchers.segment_head import SegmentCrossEncoder
from retkd.stage import Model
from tests.architectures import ARCHITECTURES
from tests.tiny import WORDS, tiny_cross_encoder, tiny_encoder, tiny_tokenizer

PAIRS = [
    ("baco difun", "gale lemi nopa"),
    ("", "gale"),
    *((WORDS[i], " ".join(WORDS[i : 2 * i])) for i in range(1, 20)),
    (" ".join(WORDS[:40]), " ".join(WORDS[:90])),
]


def model_of(folder: Path) -> Model:
    return Model("ce", folder, FileDigests(folder.with_name("digests.json")).model(folder))


def segments_folder(folder: Path) -> Path:
    """A head that weighs its features too."""
    from transformers import AutoTokenizer

    base = tiny_encoder(folder.with_name("encoder"), max_length=96)
    model = SegmentCrossEncoder.load(base)
    with torch.no_grad():
        model.weight.copy_(torch.linspace(-1, 1, len(model.weight)))
    model.save_pretrained(str(folder))
    AutoTokenizer.from_pretrained(str(base)).save_pretrained(folder)
    return folder


@pytest.fixture(params=["classifier", "segments"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    make = {"classifier": tiny_cross_encoder, "segments": segments_folder}[request.param]
    return make(tmp_path / request.param)


def scores(folder: Path, model: Any, tokens_per_batch: int = 300) -> np.ndarray:
    return PairScorer.around(folder, model, 96, 32).score(PAIRS, tokens_per_batch)


@pytest.mark.parametrize("tokens_per_batch", [1, 10**6])
def test_the_graph_gives_the_models_scores_for_any_batch_and_length(
    folder: Path, tmp_path: Path, tokens_per_batch: int
) -> None:
    expected = PairScorer.load(folder, "cpu", 96, 32).score(PAIRS)
    graph = load_graph(model_of(folder), tmp_path / "store", "onnx", "none", threads=1)
    assert graph.inputs[:3] == ("input_ids", "attention_mask", "token_type_ids")
    assert graph.reads_segments == (folder.name == "segments")
    found = scores(folder, graph, tokens_per_batch)
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, abs=1e-4)
    assert np.ptp(expected) > 0.1


def test_eight_bits_change_the_scores_a_little_and_the_order_hardly(folder: Path, tmp_path: Path) -> None:
    from scipy.stats import kendalltau

    expected = PairScorer.load(folder, "cpu", 96, 32).score(PAIRS)
    found = scores(folder, load_graph(model_of(folder), tmp_path / "store", "onnx", "int8", threads=1))
    assert 0 < np.abs(found - expected).max() < 0.3 * expected.std()
    assert kendalltau(found, expected).statistic > 0.9


def test_graphs_are_kept_by_the_models_digest_and_made_to_the_same_bytes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = [tmp_path / "one", tmp_path / "other"]
    for store in stores:
        load_graph(model_of(folder), store, "onnx", "int8", threads=1)
    names = [sorted(p.relative_to(store) for p in store.rglob("*.onnx")) for store in stores]
    assert names[0] == names[1]
    assert [name.name for name in names[0]] == ["float32.onnx", "int8.onnx"]
    assert all((stores[0] / name).read_bytes() == (stores[1] / name).read_bytes() for name in names[0])
    monkeypatch.setattr(pair_graph, "write_graph", None)
    monkeypatch.setattr(pair_graph, "quantise_rows", None)
    load_graph(model_of(folder), stores[0], "onnx", "int8", threads=1)
    with pytest.raises(TypeError):
        load_graph(Model("ce", folder, "other weights"), stores[0], "onnx", "none", threads=1)


@pytest.mark.parametrize("kind", ["distilbert", "xlm-roberta", "modernbert", "deberta-v2"])
def test_other_architectures(tmp_path: Path, kind: str) -> None:
    """deberta-v2 and the like may not survive tracing: then this is said, and nothing is stored."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    tokenizer = tiny_tokenizer(WORDS, 64)
    shape = ARCHITECTURES[kind] | {"vocab_size": len(tokenizer), "pad_token_id": 0}
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **shape, num_labels=1, initializer_range=0.5)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    expected = PairScorer.load(tmp_path / "model", "cpu", 64, 32).score(PAIRS)
    graph = load_graph(model_of(tmp_path / "model"), tmp_path / "store", "onnx", "none", threads=1)
    found = PairScorer.around(tmp_path / "model", graph, 64, 32).score(PAIRS)
    assert found == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (lambda logits: logits * 1.01 + 0.01, "the graph's logits differ from the model's by up to 0.0"),
        (lambda logits: logits[:1], "the graph's logits have the shape [1, 1], not [3, 1]"),
    ],
)
def test_a_graph_that_gives_other_logits_is_not_stored(
    cross_encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Any, told: str
) -> None:
    forward = pair_graph._Logits.forward
    monkeypatch.setattr(pair_graph._Logits, "forward", lambda self, *features: broken(forward(self, *features)))
    with pytest.raises(ModelError, match="the cross-encoder cannot be run as an ONNX graph") as error:
        write_graph(cross_encoder_folder, tmp_path / "float32.onnx")
    assert f"seen: {told}" in str(error.value)
    assert "next step: set backend: torch" in str(error.value)
    assert not (tmp_path / "float32.onnx").exists()


def test_openvino_that_is_not_installed(
    cross_encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError) as error:
        load_graph(model_of(cross_encoder_folder), tmp_path / "store", "openvino", "none", threads=1)
    assert str(error.value) == (
        "backend: openvino needs the package openvino, which is not installed\n  next step: pip install 'retkd[openvino]'"
    )


@pytest.mark.parametrize("quantise", ["none", "int8"])
def test_openvino_gives_the_scores_of_onnx_runtime(folder: Path, tmp_path: Path, quantise: Any) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    one, other = (
        scores(folder, load_graph(model_of(folder), tmp_path / "store", backend, quantise, threads=1))
        for backend in ("onnx", "openvino")
    )
    assert other == pytest.approx(one, abs=1e-3 if quantise == "none" else 0.05)
