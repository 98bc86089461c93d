"""An ONNX graph from tokens to a pooled vector, or one per tower, with tokeniser, golden vectors and description."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from retkd.exporters.base import Encodes, Exporter, Limits, Side, describe, describe_tower
from retkd.shards import atomic
from retkd.stage import Inputs, Model

if TYPE_CHECKING:
    from retkd.encoders.encoder import Encoder


FIRST = ("dim", "max_length", "prompts", "pooling", "normalised", "similarity", "modules")
"""What ``export.json`` of one tower begins with."""


class Onnx(Exporter):
    """``model.onnx`` in float32, ``tokenizer.json``, ``golden.json``, ``export.json``, ``README.md``.

    A student of two towers gets the first three in a folder for each: ``query`` and ``document``.
    """

    WRITES: ClassVar[tuple[str, ...]] = ("encoder", "asymmetric_encoder")

    kind: Literal["onnx"] = "onnx"
    opset: int = Field(default=17, ge=17, le=20)

    def write(self, model: Model, out: Path, inputs: Inputs) -> Encodes:
        """Trace the graphs on the CPU, then open them with ONNX Runtime and the tokenizers package alone."""
        from retkd.encoders.encoder import Encoder
        from retkd.exporters.golden import golden
        from retkd.exporters.onnx_encoder import OnnxEncoder
        from retkd.exporters.onnx_graph import require_exportable, towers
        from retkd.exporters.usage import usage

        encoder = Encoder.load(model.path)
        places = towers(encoder)
        for sides in places.values():
            require_exportable(encoder, sides)
        told = {place: self._write_tower(encoder, sides[0], out, place) for place, sides in places.items()}
        export = _described(encoder, told, out) | {"model_digest": model.digest}
        _write_json(out / "export.json", export)
        served = OnnxEncoder(out, inputs.runtime.threads)
        for place, sides in places.items():
            _write_json(out / place / "golden.json", golden(served, sides))
        with atomic(out / "README.md") as temporary:
            temporary.write_text(usage(export), encoding="utf-8")
        return served

    def _write_tower(self, encoder: "Encoder", side: Side, out: Path, place: str) -> dict[str, Any]:
        """Write a tower's graph and tokeniser; what ``export.json`` tells of them."""
        from retkd.exporters.onnx_graph import described
        from retkd.exporters.tokens import write_tokenizer

        graph = out / place / "model.onnx"
        self.write_graph(encoder, side, graph, out.parent / "work" / place)
        length = write_tokenizer(encoder, side, out / place / "tokenizer.json")
        return {"max_length": length} | describe_tower(encoder, side) | described(graph)

    def write_graph(self, encoder: "Encoder", side: Side, path: Path, work: Path) -> None:
        """Write the graph of a side's tower at ``path``; ``work`` is a folder for scratch."""
        from retkd.exporters.onnx_graph import write_graph

        write_graph(encoder, side, path, self.opset)


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

    def write_graph(self, encoder: "Encoder", side: Side, path: Path, work: Path) -> None:
        """Write the float graph into the scratch folder and quantise it."""
        from retkd.exporters.onnx_graph import write_graph
        from retkd.graphs import quantise

        full = work / "float32.onnx"
        write_graph(encoder, side, full, self.opset)
        quantise(full, path, per_channel=self.per_channel, reduce_range=self.reduce_range)


def _described(encoder: "Encoder", told: Mapping[str, dict[str, Any]], out: Path) -> dict[str, Any]:
    """``export.json``: of one tower in one level, of two with ``towers`` and whether both tokenise alike."""
    shared = describe(encoder)
    if "" in told:
        flat = shared | told[""]
        return {name: flat[name] for name in FIRST} | flat
    files = {(out / place / "tokenizer.json").read_bytes() for place in told}
    return shared | {"towers": dict(told), "same_tokenizer": len(files) == 1}


def _write_json(path: Path, data: object) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
