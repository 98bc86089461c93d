"""ONNX exports of students with one tower for queries and another for documents."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from tokenizers import Tokenizer

from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError, ParityError
from retkd.exporters import onnx_encoder
from retkd.exporters.bag import Bag
from retkd.exporters.onnx import Onnx, OnnxInt8
from retkd.exporters.onnx_encoder import OnnxEncoder
from retkd.stage import Inputs, Model, Runtime
from retkd.stages import export
from retkd.students.asymmetric import Asymmetric, DocumentTower, StaticTower, TransformerTower
from tests.tiny import tiny_encoder, tiny_inputs

PROMPTS = {"query": "ask: ", "document": "du: "}
TEXTS = ["baban coba", "a", "", "Zürich, naïve!", "codin " * 200, "def f(x):\n    return x"]
TOWERS: dict[str, Any] = {
    "static": StaticTower(),
    "transformer": TransformerTower(base="other", layers=[1]),
    "same_tokenizer": TransformerTower(base="document", layers=[0]),
}


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """query tower -> folder of the student. The tower `transformer` is narrower, cuts earlier and has other words."""
    root = tmp_path_factory.mktemp("students")
    tiny_encoder(root / "document", prompts=PROMPTS)
    tiny_encoder(root / "other", seed=5, dim=16, max_length=32, words=["baban", "coba"])
    models = {name: Model(name, root / name, name) for name in ("document", "other")}
    for name, tower in TOWERS.items():
        torch.manual_seed(0)
        Asymmetric(query=tower, document=DocumentTower(base="document")).made(models, "cpu").save(root / name)
    return {name: root / name for name in TOWERS}


def write(source: Path, out: Path, exporter: Onnx | None = None) -> OnnxEncoder:
    inputs = Inputs(None, {}, models={}, manifests={}, seed=13, runtime=Runtime(threads=1), store=out, key="k")  # type: ignore[arg-type]
    served = (exporter or Onnx()).write(Model("student", source, "digest"), out, inputs)
    assert isinstance(served, OnnxEncoder)
    return served


@pytest.fixture(scope="module", params=list(TOWERS))
def exported(request: pytest.FixtureRequest, students: dict[str, Path]) -> tuple[str, Path, Path]:
    """(query tower, student, export)."""
    source = students[request.param]
    out = source.parent / f"{request.param}-exported" / "onnx"
    write(source, out)
    return request.param, source, out


@pytest.mark.parametrize("side", ["query", "document"])
@pytest.mark.parametrize("tokens_per_batch", [8, 4096])
def test_each_graph_gives_its_towers_vectors(exported: Any, side: Any, tokens_per_batch: int) -> None:
    _, source, out = exported
    found = OnnxEncoder(out, threads=1).encode(TEXTS, side, tokens_per_batch)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, Encoder.load(source).encode(TEXTS, side), atol=3e-6)


def test_the_folder_holds_a_graph_for_each_tower_and_says_what_it_reads(exported: Any) -> None:
    name, _, out = exported
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == {
        "README.md",
        "export.json",
        *(f"{side}/{file}" for side in PROMPTS for file in ("model.onnx", "tokenizer.json", "golden.json")),
    }
    told = json.loads((out / "export.json").read_text())
    assert (told["dim"], told["prompts"], told["model_digest"]) == (32, PROMPTS, "digest")
    assert told["same_tokenizer"] == (name == "same_tokenizer")
    query, document = told["towers"]["query"], told["towers"]["document"]
    columns = ["input_ids", "attention_mask", "token_type_ids"]
    assert [value["name"] for value in query["inputs"]] == (columns[:2] if name == "static" else columns)
    assert [value["name"] for value in document["inputs"]] == columns
    for tower in (query, document):
        assert tower["output"] == {"name": "sentence_embedding", "type": "float32", "axes": ["text", 32]}
        assert (tower["pooling"], tower["normalised"]) == ("mean", True)
    lengths = {"static": None, "transformer": 32, "same_tokenizer": 64}
    assert (query["max_length"], document["max_length"]) == (lengths[name], 64)
    sizes = {side: (out / side / "model.onnx").stat().st_size for side in PROMPTS}
    assert sizes["query"] < sizes["document"]


def test_the_files_alone_reproduce_each_towers_golden_vectors(exported: Any) -> None:
    _, _, out = exported
    told = json.loads((out / "export.json").read_text())
    columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    for side, tower in told["towers"].items():
        golden = json.loads((out / side / "golden.json").read_text())
        assert golden["prompts"] == {side: PROMPTS[side]}
        assert [case["side"] for case in golden["cases"]] == [side] * 6
        tokenizer = Tokenizer.from_file(str(out / side / "tokenizer.json"))
        session = onnxruntime.InferenceSession(str(out / side / "model.onnx"))
        batch = tokenizer.encode_batch([PROMPTS[side] + case["text"] for case in golden["cases"]])
        feeds = {v["name"]: np.array([getattr(e, columns[v["name"]]) for e in batch]) for v in tower["inputs"]}
        (vectors,) = session.run([tower["output"]["name"]], feeds)
        for case, encoding, vector in zip(golden["cases"], batch, vectors, strict=True):
            assert case["input_ids"] == encoding.ids[: sum(encoding.attention_mask)]
            np.testing.assert_allclose(vector, case["vector"], atol=golden["tolerance"])


def test_the_code_of_its_readme_runs_as_it_stands(
    exported: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, source, out = exported
    text = (out / "README.md").read_text()
    said = {"static": "A query is read whole", "transformer": "A query is cut at 32 tokens"}
    assert said.get(name, "A query is cut at 64 tokens") in text
    assert "A document is cut at 64 tokens" in text
    assert ("have the same `tokenizer.json`" in text) == (name == "same_tokenizer")
    assert ("a table of word vectors" in text) == (name == "static")
    monkeypatch.chdir(out)
    told: dict[str, Any] = {}
    exec(text.partition("```python\n")[2].partition("```")[0], told)
    assert capsys.readouterr().out.startswith("[[")
    for side in PROMPTS:
        np.testing.assert_allclose(told["encode"](TEXTS, side), Encoder.load(source).encode(TEXTS, side), atol=3e-6)


def test_the_same_student_gives_the_same_bytes(exported: Any, tmp_path: Path) -> None:
    _, source, out = exported
    write(source, tmp_path / "onnx")
    for path in out.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "onnx" / path.relative_to(out)).read_bytes(), path


def test_a_text_without_a_token_is_zeros_for_a_table(tmp_path: Path, students: dict[str, Path]) -> None:
    """Of a table without prompts, also where a whole batch is empty."""
    config = students["static"] / "config_sentence_transformers.json"
    source = tmp_path / "student"
    Encoder.load(students["static"]).save(source)
    (source / config.name).write_text(json.dumps(json.loads(config.read_text()) | {"prompts": {}}))
    served = write(source, tmp_path / "onnx")
    for texts in ([""], ["", "baban", ""]):
        found = served.encode(texts, "query")
        np.testing.assert_array_equal(found[0], np.zeros(32))
        np.testing.assert_allclose(found, Encoder.load(source).encode(texts, "query"), atol=1e-6)


def test_a_bag_is_the_mean_of_the_rows_that_are_read() -> None:
    """Rows 1, 3 and 5 have mean 3; two of row 2 have it as mean; what fills the batch up does not count."""
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    from tests.tiny import tiny_tokenizer

    rows = np.arange(6, dtype=np.float32)[:, None] * np.array([[1.0, -1.0]], dtype=np.float32)
    static = StaticEmbedding(tiny_tokenizer()._tokenizer, embedding_weights=rows)
    ids = torch.tensor([[1, 3, 5], [2, 2, 4], [4, 4, 4]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [0, 0, 0]])
    found = Bag(static)({"input_ids": ids, "attention_mask": mask})["sentence_embedding"]
    assert found.tolist() == [[3.0, -3.0], [2.0, -2.0], [0.0, 0.0]]
    flat = static({"input_ids": torch.tensor([1, 3, 5, 2, 2]), "offsets": torch.tensor([0, 3, 5])})
    assert torch.equal(found, flat["sentence_embedding"])


@pytest.mark.parametrize("name", TOWERS)
def test_the_stage_compares_both_towers_with_the_model(name: str, students: dict[str, Path], tmp_path: Path) -> None:
    inputs = tiny_inputs(tmp_path, {"student": students[name]})
    loose = {"min_top10_overlap": 0.3, "max_measure_difference": 1.0, "min_cosine": 0.5, "max_difference": 1.0}
    targets = [{"kind": "sentence_transformers"}, {"kind": "onnx"}, {"kind": "onnx_int8", "parity": loose}]
    metrics = export.run(export.Config(model="student", targets=targets), inputs, tmp_path / "out")  # type: ignore[arg-type]
    parity = metrics.values["parity"]
    assert parity["onnx"]["top10_overlap"] == 1.0
    assert parity["onnx"]["max_difference"] < 1e-5 < parity["onnx_int8"]["max_difference"]
    assert parity["onnx_int8"]["min_cosine"] > 0.9
    assert metrics.values["sizes"]["onnx_int8_bytes"] < metrics.values["sizes"]["onnx_bytes"]
    assert metrics.timings["onnx_queries_per_second"] > 0


def test_queries_through_the_documents_graph_are_refused(
    students: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Swapped(OnnxEncoder):
        """Reads both sides by one graph."""

        def __init__(self, folder: Path, threads: int | None = None) -> None:
            super().__init__(folder, threads)
            self.towers["query"] = self.towers["document"]

    monkeypatch.setattr(onnx_encoder, "OnnxEncoder", Swapped)
    inputs = tiny_inputs(tmp_path, {"student": students["transformer"]})
    with pytest.raises(ParityError, match="the export onnx does not rank as the model does"):
        export.run(export.Config(model="student", targets=[Onnx()]), inputs, tmp_path / "out")


def test_a_cut_export_has_two_narrower_graphs(students: dict[str, Path], tmp_path: Path) -> None:
    inputs = tiny_inputs(tmp_path, {"student": students["static"]})
    metrics = export.run(export.Config(model="student", targets=[Onnx()], dim=8), inputs, tmp_path / "out")
    assert metrics.values["parity"]["onnx"]["max_difference"] < 1e-5
    assert json.loads((tmp_path / "out" / "onnx" / "export.json").read_text())["dim"] == 8
    whole = Encoder.load(students["static"]).encode(TEXTS[:2], "query")[:, :8]
    served = OnnxEncoder(tmp_path / "out" / "onnx", 1).encode(TEXTS[:2], "query")
    np.testing.assert_allclose(served, whole / np.linalg.norm(whole, axis=1, keepdims=True), atol=1e-5)


def test_a_table_for_both_sides_is_one_graph(students: dict[str, Path], tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    table = Encoder.load(students["static"]).tower("query")[0]
    SentenceTransformer(modules=[table], device="cpu").save_pretrained(str(tmp_path / "table"))
    served = write(tmp_path / "table", tmp_path / "onnx", OnnxInt8())
    assert (tmp_path / "onnx" / "model.onnx").is_file()
    assert "A text is read whole. Compare vectors by inner product.\n" in (tmp_path / "onnx" / "README.md").read_text()
    expected = Encoder.load(tmp_path / "table").encode(TEXTS, "query")
    cosines = np.einsum("td,td->t", served.encode(TEXTS, "query"), expected)
    cosines /= np.maximum(
        np.linalg.norm(expected, axis=1) * np.linalg.norm(served.encode(TEXTS, "query"), axis=1), 1e-9
    )
    assert cosines[[0, 1, 3, 4, 5]].min() > 0.99


def test_a_tower_that_no_graph_holds_is_named(students: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / "student"
    Encoder.load(students["transformer"]).save(source)
    (path,) = source.rglob("document_1_Pooling/config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"include_prompt": False}))
    with pytest.raises(ModelError) as error:
        write(source, tmp_path / "onnx")
    assert "its pooling leaves the prompt's tokens out" in str(error.value)
    assert "where: the tower of document\n" in str(error.value)
