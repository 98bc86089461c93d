"""A cross-encoder as an ONNX graph: traced once, kept in the store, run by ONNX Runtime or OpenVINO on the CPU."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from retkd.batching import pad_values, padded
from retkd.digests import digest_of
from retkd.errors import MissingExtraError, ModelError
from retkd.graphs import COLUMNS, session, too_large, trace
from retkd.matchers.cross_encoder import PairScorer
from retkd.matchers.labels import LabelOdds
from retkd.matchers.pair_models import load_model
from retkd.matchers.row_quantisation import quantise_rows
from retkd.matchers.templates import NOTHING_AROUND
from retkd.stage import Model

Backend = Literal["torch", "onnx", "openvino"]
Quantise = Literal["none", "int8"]
Run = Callable[[dict[str, np.ndarray]], np.ndarray]

OPSET = 17
OUTPUT = "logits"
TOLERANCE = 1e-3
"""How far the graph's logits may be from the model's, relative to the largest logit where that exceeds 1."""
TRACED = [("a", "b"), ("two texts", "of unequal length")]
COMPARED = [("", "one"), ("a longer query than before", "and a document " * 12), ("which", "of these three is it")]


class PairGraph:
    """Called like the model that it was traced from: features in, ``logits`` ``[pair, label]`` out."""

    device = torch.device("cpu")

    def __init__(self, run: Run, inputs: Sequence[str], config: Any) -> None:
        self.run = run
        self.inputs = tuple(inputs)
        self.config = config
        self.reads_segments = "segments" in self.inputs

    def __call__(self, **features: Tensor) -> SimpleNamespace:
        """The graph's output for one batch."""
        feeds = {name: features[name].numpy() for name in self.inputs}
        return SimpleNamespace(logits=torch.from_numpy(self.run(feeds)))


def load_graph(model: Model, store: Path, backend: Backend, quantise: Quantise, threads: int | None) -> PairGraph:
    """The model's graph, opened. What is missing in the store is traced, compared with the model and quantised first."""
    from transformers import AutoConfig

    open_graph = {"onnx": _onnx, "openvino": _openvino}[backend]
    if backend == "openvino":
        _require_openvino()
    full = store / "graphs" / digest_of({"model": model.digest, "opset": OPSET})[:24] / "float32.onnx"
    if not full.exists():
        write_graph(model.path, full)
    path = full
    if quantise == "int8":
        path = full.with_name("int8.onnx")
        if not path.exists():
            quantise_rows(full, path)
    run, inputs = open_graph(path, threads)
    return PairGraph(run, inputs, AutoConfig.from_pretrained(str(model.path)))


class _Logits(nn.Module):
    """A model as a function of tensors in the order of ``columns``."""

    def __init__(self, model: Any, columns: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.columns = tuple(columns)

    def forward(self, *features: Tensor) -> Tensor:
        return self.model(**dict(zip(self.columns, features, strict=True))).logits  # type: ignore[no-any-return]


def write_graph(folder: Path, path: Path) -> None:
    """Write ``path``. Raises :class:`ModelError` when it cannot be, or when its logits are not the model's."""
    model = load_model(folder, "cpu")
    if too_large(model):
        raise _not_traced(folder, "its weights exceed 2 GB, the most that one ONNX file holds")
    labels = (
        "auto" if model.config.num_labels == 1 or getattr(model, "reads_segments", False) else LabelOdds(positive=0)
    )
    scorer = PairScorer.around(folder, model, 64, 16, labels=labels, template=NOTHING_AROUND)
    traced = _features(scorer, TRACED)
    unchecked = path.with_name("unchecked.onnx")
    try:
        trace(_Logits(model, list(traced)), traced, OUTPUT, unchecked, opset=OPSET, rows="pair")
    except (RuntimeError, TypeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
        raise _not_traced(folder, f"{type(error).__name__}: {str(error).splitlines()[0][:200]}") from error
    compared = _features(scorer, COMPARED)
    with torch.inference_mode():
        expected = model(**compared).logits
    found = PairGraph(*_onnx(unchecked, None), model.config)(**compared).logits
    if found.shape != expected.shape:
        raise _not_traced(folder, f"the graph's logits have the shape {list(found.shape)}, not {list(expected.shape)}")
    difference = float((found - expected).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
        raise _not_traced(folder, f"the graph's logits differ from the model's by up to {difference:.2g}")
    unchecked.replace(path)


def _features(scorer: PairScorer, pairs: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
    """What the model reads of these pairs, in the order of the graph's inputs."""
    columns, _ = scorer.tokenize(pairs)
    transformer = scorer.model.base_model if scorer.reads_segments else scorer.model
    read = {*inspect.signature(transformer.forward).parameters, *(["segments"] if scorer.reads_segments else [])}
    features = padded(columns, pad_values(scorer.tokenizer))
    return {name: features[name] for name in (*COLUMNS, "segments") if name in features.keys() & read}


def _not_traced(folder: Path, why: str) -> ModelError:
    return ModelError(
        "the cross-encoder cannot be run as an ONNX graph", where=folder, seen=why, next_step="set backend: torch"
    )


def _onnx(path: Path, threads: int | None) -> tuple[Run, list[str]]:
    opened = session(path, threads)
    return lambda feeds: opened.run([OUTPUT], feeds)[0], [each.name for each in opened.get_inputs()]


def _require_openvino() -> None:
    try:
        import openvino  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("openvino", "openvino", "backend: openvino") from error


def _openvino(path: Path, threads: int | None) -> tuple[Run, list[str]]:
    """In float32 also where the processor has bf16; OpenVINO reads the ONNX file itself."""
    import openvino

    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    settings |= {"INFERENCE_NUM_THREADS": threads} if threads else {}
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    request = compiled.create_infer_request()
    return lambda feeds: np.array(request.infer(feeds)[0]), [each.any_name for each in compiled.inputs]
