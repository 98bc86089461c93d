"""Trace a sentence-transformers model into one ONNX graph: tokens in, pooled and normalised float32 vectors out."""

import inspect
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from retkd.graphs import COLUMNS, too_large, trace
from retkd.shards import atomic

OUTPUT = "sentence_embedding"


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

    Whatever a trace may miss, the parity check sees.
    """
    require_exportable(encoder)
    tokens = encoder.tokenize(["a", "two texts of unequal length"], "document")
    features = encoder.features(tokens, "document")
    columns = {name: features[name] for name in read_columns(encoder)}
    with atomic(path) as temporary:
        trace(Pooled(encoder.model.float()), columns, OUTPUT, temporary, opset=opset)
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
    return [name for name in COLUMNS if name in given & read]


def require_exportable(encoder: Encoder) -> None:
    """Refuse what one graph of tokens cannot hold."""
    model = encoder.model
    reason = None
    if encoder.tower("query") != encoder.tower("document"):
        reason = "it has one tower for queries and another for documents"
    elif not encoder.reads_tokens("document"):
        reason = "its first module is no transformer over tokens"
    elif getattr(model.tokenizer, "backend_tokenizer", None) is None:
        reason = "its tokeniser has no tokenizer.json, which search stacks read"
    elif any(model.prompts.values()) and not all(getattr(module, "include_prompt", True) for module in model):
        reason = "its pooling leaves the prompt's tokens out, and a graph does not know where the prompt ends"
    elif too_large(model):
        reason = "its weights exceed 2 GB, the most that one ONNX file holds"
    if reason:
        raise ModelError(
            f"the model cannot be exported to ONNX: {reason}",
            seen=", ".join(type(module).__name__ for module in model),
            allowed="one transformer with a fast tokeniser, then pooling, dense or normalisation modules",
            next_step="leave the kinds onnx and onnx_int8 out of `targets`",
        )


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
