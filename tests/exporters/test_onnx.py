"""The ONNX export as somebody else's search stack would use it."""

import json

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from retkd.exporters.onnx import Onnx
from retkd.exporters.onnx_encoder import OnnxEncoder
from retkd.stage import Inputs, Model, Runtime
from tests.tiny import tiny_encoder

PROMPTS = {"query": "ask: ", "document": ""}
TEXTS = ["baban coba", "a", "", "Zürich, naïve!", "codin " * 200, "def f(x):\n    return x"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("source") / "encoder", prompts=PROMPTS)


def write(source, out):
    """The export at ``out``, opened. It reads no more of its inputs than the number of threads."""
    inputs = Inputs(None, {}, models={}, manifests={}, seed=13, runtime=Runtime(threads=1), store=out, key="k")
    return Onnx().write(Model("student", source, "digest"), out, inputs)


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "onnx"
    write(source, out)
    return out


@pytest.mark.parametrize("side", ["query", "document"])
@pytest.mark.parametrize("tokens_per_batch", [64, 4096])
def test_it_gives_the_models_vectors_for_any_batch_and_length(source, exported, side, tokens_per_batch):
    expected = Encoder.load(source).encode(TEXTS, side)
    found = OnnxEncoder(exported, threads=1).encode(TEXTS, side, tokens_per_batch)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_the_files_alone_reproduce_the_golden_vectors(exported):
    told = json.loads((exported / "export.json").read_text())
    golden = json.loads((exported / "golden.json").read_text())
    tokenizer = Tokenizer.from_file(str(exported / "tokenizer.json"))
    session = onnxruntime.InferenceSession(str(exported / "model.onnx"))
    batch = tokenizer.encode_batch([golden["prompts"][case["side"]] + case["text"] for case in golden["cases"]])
    columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    feeds = {v["name"]: np.array([getattr(e, columns[v["name"]]) for e in batch]) for v in told["inputs"]}
    (vectors,) = session.run([told["output"]["name"]], feeds)
    assert len(batch) == 12
    for case, encoding, vector in zip(golden["cases"], batch, vectors, strict=True):
        assert case["input_ids"] == encoding.ids[: sum(encoding.attention_mask)]
        np.testing.assert_allclose(vector, case["vector"], atol=golden["tolerance"])
    assert max(len(case["input_ids"]) for case in golden["cases"]) == told["max_length"] == 64


def test_the_description_says_what_a_server_must_know(exported):
    told = json.loads((exported / "export.json").read_text())
    assert [v["name"] for v in told["inputs"]] == ["input_ids", "attention_mask", "token_type_ids"]
    assert told["inputs"][0] == {"name": "input_ids", "type": "int64", "axes": ["text", "token"]}
    assert told["output"] == {"name": "sentence_embedding", "type": "float32", "axes": ["text", 32]}
    assert (told["dim"], told["pooling"], told["normalised"], told["opset"]) == (32, "mean", True, 17)
    assert told["prompts"] == PROMPTS
    assert told["model_digest"] == "digest"


def test_the_same_model_gives_the_same_bytes(source, exported, tmp_path):
    write(source, tmp_path / "onnx")
    assert {p.name for p in exported.iterdir()} == {
        "model.onnx",
        "tokenizer.json",
        "golden.json",
        "export.json",
        "README.md",
    }
    for path in exported.iterdir():
        assert path.read_bytes() == (tmp_path / "onnx" / path.name).read_bytes(), path.name


@pytest.mark.parametrize("pooling", ["cls", "max"])
def test_other_poolings_are_in_the_graph_too(tmp_path, pooling):
    source = tiny_encoder(tmp_path / "encoder", pooling=pooling)
    found = write(source, tmp_path / "onnx").encode(TEXTS, "document")
    np.testing.assert_allclose(found, Encoder.load(source).encode(TEXTS, "document"), atol=2e-6)


def test_a_model_that_no_graph_of_tokens_holds_is_refused(tmp_path):
    source = tiny_encoder(tmp_path / "encoder", prompts=PROMPTS)
    config = json.loads((source / "1_Pooling" / "config.json").read_text()) | {"include_prompt": False}
    (source / "1_Pooling" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError) as error:
        write(source, tmp_path / "onnx")
    assert "its pooling leaves the prompt's tokens out" in str(error.value)
    assert "seen: Transformer, Pooling, Normalize" in str(error.value)


def test_the_code_of_its_readme_runs_as_it_stands(exported, monkeypatch, capsys):
    text = (exported / "README.md").read_text()
    assert "cut at 64 tokens" in text
    monkeypatch.chdir(exported)
    told: dict = {}
    exec(text.partition("```python\n")[2].partition("```")[0], told)
    assert capsys.readouterr().out.startswith("[[")
    np.testing.assert_allclose(
        told["encode"](TEXTS, "query"), OnnxEncoder(exported, 1).encode(TEXTS, "query"), atol=2e-6
    )
