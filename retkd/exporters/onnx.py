"""One ONNX graph from tokens to a pooled vector, with its tokeniser, golden vectors and description."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from retkd.exporters.base import Encodes, Exporter, Limits, describe
from retkd.shards import atomic
from retkd.stage import Inputs, Model

if TYPE_CHECKING:
    from retkd.encoders.encoder import Encoder


class Onnx(Exporter):
    """``model.onnx`` in float32, ``tokenizer.json``, ``golden.json``, ``export.json``, ``README.md``."""

    kind: Literal["onnx"] = "onnx"
    opset: int = Field(default=17, ge=17, le=20)

    def write(self, model: Model, out: Path, inputs: Inputs) -> Encodes:
        """Trace the graph on the CPU, then open it with ONNX Runtime and the tokenizers package alone."""
        from retkd.encoders.encoder import Encoder
        from retkd.exporters.golden import golden
        from retkd.exporters.onnx_encoder import OnnxEncoder
        from retkd.exporters.tokens import write_tokenizer
        from retkd.exporters.usage import usage

        encoder = Encoder.load(model.path)
        self.write_graph(encoder, out)
        write_tokenizer(encoder, out / "tokenizer.json")
        told = describe(encoder) | self.graph_of(out / "model.onnx") | {"model_digest": model.digest}
        _write_json(out / "export.json", told)
        served = OnnxEncoder(out, inputs.runtime.threads)
        _write_json(out / "golden.json", golden(served))
        with atomic(out / "README.md") as temporary:
            temporary.write_text(usage(told), encoding="utf-8")
        return served

    def write_graph(self, encoder: "Encoder", out: Path) -> None:
        """Write ``model.onnx``."""
        from retkd.exporters.onnx_graph import write_graph

        write_graph(encoder, out / "model.onnx", self.opset)

    @staticmethod
    def graph_of(path: Path) -> dict[str, object]:
        """Names, types and axes of inputs and output, read from the graph itself."""
        from retkd.exporters.onnx_graph import described

        return described(path)


class Int8Limits(Limits):
    """What 8-bit weights may cost."""

    min_top10_overlap: float = Field(default=0.85, ge=0, le=1)
    max_measure_difference: float = Field(default=0.02, ge=0, le=1)
    min_cosine: float = Field(default=0.9, ge=-1, le=1)
    max_difference: float = Field(default=0.2, gt=0)


class OnnxInt8(Onnx):
    """The same graph with weights as 8-bit integers: a quarter of the size, faster on CPUs, a little less exact.

    Both options matter: without them the cosine to the float model falls from 0.99 to 0.94 (MiniLM-L6).
    """

    kind: Literal["onnx_int8"] = "onnx_int8"  # type: ignore[assignment]
    parity: Int8Limits = Int8Limits()
    per_channel: bool = True
    reduce_range: bool = Field(default=True, description="7-bit weights, exact on CPUs without VNNI")

    def write_graph(self, encoder: "Encoder", out: Path) -> None:
        """Write the float graph into the scratch folder and quantise it."""
        from retkd.exporters.onnx_graph import write_graph
        from retkd.graphs import quantise

        full = out.parent / "work" / "float32.onnx"
        write_graph(encoder, full, self.opset)
        quantise(full, out / "model.onnx", per_channel=self.per_channel, reduce_range=self.reduce_range)


def _write_json(path: Path, data: object) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
