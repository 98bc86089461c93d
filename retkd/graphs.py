"""ONNX graphs: trace a torch module, write its weights as 8-bit integers, open a session."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retkd.shards import atomic

if TYPE_CHECKING:
    from torch import Tensor, nn

COLUMNS = ("input_ids", "attention_mask", "token_type_ids")
"""What a transformer may read, in the order of a graph's inputs."""
MOST_BYTES = 2_000_000_000
"""The most that one ONNX file holds."""


def too_large(model: "nn.Module") -> bool:
    """Whether the float32 weights exceed what one ONNX file holds."""
    return sum(parameter.numel() for parameter in model.parameters()) * 4 > MOST_BYTES


def trace(
    module: "nn.Module", features: "Mapping[str, Tensor]", output: str, path: Path, *, opset: int, rows: str = "text"
) -> None:
    """Write ``path``: ``module`` of these tensors ``[rows, token]`` in this order, both axes dynamic. Not by a rename: the
    caller has something to do with the graph before it may stand.

    Traced by the TorchScript exporter: the newer torch.export path takes 20 times as long and does not give the same
    bytes twice for every architecture (torch 2.13). Give two rows of unequal length: a mask without a zero would let
    the tracer leave masking out. Whoever calls this compares the graph with the module: a trace may miss something.
    """
    import torch

    axes = {name: {0: rows, 1: "token"} for name in features} | {output: {0: rows}}
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode(), quiet():
        torch.onnx.export(
            module.eval(),
            tuple(features.values()),
            str(path),
            dynamo=False,
            opset_version=opset,
            input_names=list(features),
            output_names=[output],
            dynamic_axes=axes,
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporter's own warnings about tracing, which the comparison afterwards answers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)


def quantise(full: Path, path: Path, *, per_channel: bool, reduce_range: bool) -> None:
    """Write ``path``: the float graph ``full`` with int8 weights; activations are quantised as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logger, level = logging.getLogger(), logging.getLogger().level
    logger.setLevel(logging.ERROR)
    try:
        with atomic(path) as temporary:
            quantize_dynamic(
                str(full),
                str(temporary),
                per_channel=per_channel,
                reduce_range=reduce_range,
                weight_type=QuantType.QInt8,
            )
    finally:
        logger.setLevel(level)


def session(path: Path, threads: int | None = None) -> Any:
    """An ONNX Runtime session on the CPU. ``threads``: default all cores."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    return InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
