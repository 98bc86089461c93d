"""Trace a sentence-transformers model into one ONNX graph: tokens in, pooled and normalised float32 vectors out."""

import inspect
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from retkd.encoder import Encoder
from retkd.errors import ModelError
from retkd.shards import atomic

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "sentence_embedding"
MOST_BYTES = 2_000_000_000


class Pooled(nn.Module):
    """All modules of a sentence-transformers model as a function of tensors."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Vectors ``[text, dim]`` of tokens ``[text, token]``."""
        features = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            features["token_type_ids"] = token_type_ids
        return self.model(features)[OUTPUT]  # type: ignore[no-any-return]


def write_graph(encoder: Encoder, path: Path, opset: int) -> None:
    """Write ``path`` with dynamic axes ``text`` and ``token``. A model without such a graph raises :class:`ModelError`.

    Traced by the TorchScript exporter: the newer torch.export path takes 20 times as long and does not give the same
    bytes twice for every architecture (torch 2.13). Whatever a trace may miss, the parity check sees.
    """
    require_exportable(encoder)
    columns = read_columns(encoder)
    # Two texts of unequal length: a mask without a zero would let the tracer leave masking out.
    features = encoder.features(encoder.tokenize(["a", "two texts of unequal length"], "document"), "document")
    axes = {name: {0: "text", 1: "token"} for name in columns} | {OUTPUT: {0: "text"}}
    with atomic(path) as temporary:
        with torch.inference_mode(), quiet():
            torch.onnx.export(
                Pooled(encoder.model.float()).eval(),
                tuple(features[name] for name in columns),
                str(temporary),
                dynamo=False,
                opset_version=opset,
                input_names=columns,
                output_names=[OUTPUT],
                dynamic_axes=axes,
            )
        _say_width(temporary, encoder.dim)


def _say_width(path: Path, dim: int) -> None:
    """Write the vectors' width into the graph's output, where tracing leaves a name: servers allocate by it."""
    model = onnx.load(str(path))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = dim
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def read_columns(encoder: Encoder) -> list[str]:
    """The tokeniser's columns that the transformer reads, in the order of the graph's inputs."""
    given = set(encoder.tokenize(["a"], "document"))
    read = set(inspect.signature(encoder.model[0].auto_model.forward).parameters)
    return [name for name in INPUTS if name in given & read]


def require_exportable(encoder: Encoder) -> None:
    """Refuse what one graph of tokens cannot hold."""
    model = encoder.model
    reason = None
    if not encoder.reads_tokens:
        reason = "its first module is no transformer over tokens"
    elif getattr(model.tokenizer, "backend_tokenizer", None) is None:
        reason = "its tokeniser has no tokenizer.json, which search stacks read"
    elif any(model.prompts.values()) and not all(getattr(module, "include_prompt", True) for module in model):
        reason = "its pooling leaves the prompt's tokens out, and a graph does not know where the prompt ends"
    elif sum(p.numel() for p in model.parameters()) * 4 > MOST_BYTES:
        reason = "its weights exceed 2 GB, the most that one ONNX file holds"
    if reason:
        raise ModelError(
            f"the model cannot be exported to ONNX: {reason}",
            seen=", ".join(type(module).__name__ for module in model),
            allowed="one transformer with a fast tokeniser, then pooling, dense or normalisation modules",
            next_step="leave the kinds onnx and onnx_int8 out of `targets`",
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporter's own warnings about tracing, which the parity check answers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)


def described(path: Path) -> dict[str, Any]:
    """Names, types and axes of a graph's inputs and output."""
    model = onnx.load(str(path), load_external_data=False)
    return {
        "inputs": [_value(value) for value in model.graph.input],
        "output": _value(model.graph.output[0]),
        "opset": next(opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")),
    }


def _value(value: Any) -> dict[str, Any]:
    tensor = value.type.tensor_type
    axes = [axis.dim_param or axis.dim_value for axis in tensor.shape.dim]
    return {"name": value.name, "type": onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name, "axes": axes}
