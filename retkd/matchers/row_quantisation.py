"""8-bit matrix products in an ONNX graph: one range for each column of a weight and for each row of what it is applied to.

ONNX Runtime's own dynamic quantisation takes one range for all rows of a batch: a transformer's few large values (those
of [CLS] and [SEP]) then leave a few levels to everything else. With a range for every token,

    x W ~ s_x[token] s_w[column] sum (q_x - zero) q_w,   s_x = max |x| / levels of q_x

Processors with AVX2 and without VNNI add products in pairs in 16 bits, so q_x and q_w together may have 15 bits: 8 for
x, whose range is the wider one, and 7 for W. Products of two activations (attention) stay in float32, and so does the
embedding table: reading it costs nothing.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from retkd.shards import atomic

ROW_LEVELS, COLUMN_LEVELS = 127, 64
SMALLEST = 1e-12


def quantise_rows(full: Path, path: Path) -> None:
    """Write ``path``: the float graph ``full`` (opset 17) with every product by a constant matrix in 8 bits."""
    model = onnx.load(str(full))
    quantised = _Quantised(model.graph)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(quantised.nodes)
    model.graph.initializer.extend(quantised.constants.values())
    with atomic(path) as temporary:
        onnx.save(model, str(temporary))


class _Quantised:
    """The nodes and constants of a graph after quantisation."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.constants = {each.name: each for each in graph.initializer}
        self.nodes: list[onnx.NodeProto] = []
        self.rows: set[str] = set()
        zero = ROW_LEVELS + 1
        self.zero, self.shift = (
            self._constant("row.zero", np.uint8(zero)),
            self._constant("row.shift", np.float32(zero)),
        )
        self.levels = self._constant("row.levels", np.float32(ROW_LEVELS))
        self.smallest = self._constant("row.smallest", np.float32(SMALLEST))
        self.one = self._constant("row.one", np.float32(1))
        replaced = set()
        for node in graph.node:
            if node.op_type == "MatMul" and self._is_matrix(node.input[1]):
                self._product(node)
                replaced.add(node.input[1])
            else:
                self.nodes.append(node)
        read = {name for node in self.nodes for name in node.input}
        self.constants = {name: each for name, each in self.constants.items() if name in read or name not in replaced}

    def _is_matrix(self, name: str) -> bool:
        return name in self.constants and len(self.constants[name].dims) == 2

    def _product(self, node: onnx.NodeProto) -> None:
        rows, weight = node.input
        result = node.output[0]
        integers, scale = self._weight(weight)
        self._quantise_rows(rows)
        inputs = [f"{rows}.integers", integers, self.one, scale, self.zero]
        self._add("MatMulIntegerToFloat", inputs, f"{result}.scaled", domain="com.microsoft")
        self._add("Mul", [f"{result}.scaled", f"{rows}.scale"], result)

    def _quantise_rows(self, rows: str) -> None:
        """Once for all products of the same rows, such as query, key and value."""
        if rows in self.rows:
            return
        self.rows.add(rows)
        self._add("Abs", [rows], f"{rows}.abs")
        self._add("ReduceMax", [f"{rows}.abs"], f"{rows}.max", axes=[-1], keepdims=1)
        self._add("Max", [f"{rows}.max", self.smallest], f"{rows}.range")
        self._add("Div", [f"{rows}.range", self.levels], f"{rows}.scale")
        self._add("Div", [rows, f"{rows}.scale"], f"{rows}.divided")
        self._add("Round", [f"{rows}.divided"], f"{rows}.rounded")
        self._add("Add", [f"{rows}.rounded", self.shift], f"{rows}.shifted")
        self._add("Cast", [f"{rows}.shifted"], f"{rows}.integers", to=TensorProto.UINT8)

    def _weight(self, name: str) -> tuple[str, str]:
        """Names of the int8 weight ``[in, out]`` and of its float32 scale ``[out]``."""
        weight = numpy_helper.to_array(self.constants[name])
        scale = np.maximum(np.abs(weight).max(axis=0), SMALLEST).astype(np.float32) / COLUMN_LEVELS
        integers = np.clip(np.round(weight / scale), -COLUMN_LEVELS, COLUMN_LEVELS).astype(np.int8)
        return self._constant(f"{name}.integers", integers), self._constant(f"{name}.scale", scale)

    def _constant(self, name: str, value: np.generic | np.ndarray) -> str:
        self.constants.setdefault(name, numpy_helper.from_array(np.asarray(value), name))
        return name

    def _add(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], output, domain=domain, **attributes))
