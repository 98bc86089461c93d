"""Trace a tower of a sentence-transformers model into one ONNX graph: tokens in, pooled and normalised float32 vectors out."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from retkd.encoders.encoder import SIDES, Encoder, Side
from retkd.errors import ModelError
from retkd.exporters.bag import Bag
from retkd.graphs import COLUMNS, too_large, trace
from retkd.shards import atomic

OUTPUT = "sentence_embedding"
TABLE_COLUMNS = ("input_ids", "attention_mask")


class Pooled(nn.Module):
    """All modules of a tower as a function of tensors."""

    def __init__(self, model: nn.Sequential) -> None:
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


def towers(encoder: Encoder) -> dict[str, tuple[Side, ...]]:
    """Folder of each graph, below that of the export -> the sides whose texts it reads: one for both, or one each."""
    if encoder.tower("query") == encoder.tower("document"):
        return {"": SIDES}
    return {side: (side,) for side in SIDES}


def write_graph(encoder: Encoder, side: Side, path: Path, opset: int) -> None:
    """Write ``path``, the side's tower with dynamic axes ``text`` and ``token``. Call :func:`require_exportable` before.

    Whatever a trace may miss, the parity check sees.
    """
    model = nn.Sequential(*(Bag(module) if _is_table(module) else module for module in encoder.tower(side)))
    with atomic(path) as temporary:
        trace(Pooled(model.float()), _example(encoder, side), OUTPUT, temporary, opset=opset)
        _say_width(temporary, encoder.dim)


def _example(encoder: Encoder, side: Side) -> dict[str, torch.Tensor]:
    """Two texts of unequal length as the graph reads them."""
    if _is_table(encoder.tower(side)[0]):
        mask = torch.tensor([[1, 0, 0], [1, 1, 1]])
        return dict(zip(TABLE_COLUMNS, (torch.zeros_like(mask), mask), strict=True))
    tokens = encoder.tokenize(["a", "two texts of unequal length"], side)
    features = encoder.features(tokens, side)
    return {name: features[name] for name in read_columns(encoder, side)}


def _say_width(path: Path, dim: int) -> None:
    """Write the vectors' width into the graph's output, where tracing leaves a name: servers allocate by it."""
    model = onnx.load(str(path))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = dim
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def read_columns(encoder: Encoder, side: Side) -> list[str]:
    """The tokeniser's columns that the side's transformer reads, in the order of the graph's inputs."""
    given = set(encoder.tokenize(["a"], side))
    read = set(inspect.signature(encoder.tower(side)[0].auto_model.forward).parameters)
    return [name for name in COLUMNS if name in given & read]


def require_exportable(encoder: Encoder, sides: Sequence[Side]) -> None:
    """Refuse a tower that one graph of tokens cannot hold; ``sides`` are those that it serves."""
    side, modules = sides[0], encoder.tower(sides[0])
    table, tokenizer = _is_table(modules[0]), encoder.tokenizer(sides[0])
    reason = None
    if not table and not encoder.reads_tokens(side):
        reason = "its first module is neither a transformer over tokens nor a table of word vectors"
    elif not table and getattr(tokenizer, "backend_tokenizer", None) is None:
        reason = "its tokeniser has no tokenizer.json, which search stacks read"
    elif any(map(encoder.prompt, sides)) and not all(getattr(each, "include_prompt", True) for each in modules):
        reason = "its pooling leaves the prompt's tokens out, and a graph does not know where the prompt ends"
    elif too_large(nn.ModuleList(modules)):
        reason = "its weights exceed 2 GB, the most that one ONNX file holds"
    if reason:
        raise ModelError(
            f"the model cannot be exported to ONNX: {reason}",
            where=f"the tower of {' and '.join(sides)}",
            seen=", ".join(type(module).__name__ for module in modules),
            allowed="a transformer with a fast tokeniser or a table, then pooling, dense or normalisation modules",
            next_step="leave the kinds onnx and onnx_int8 out of `targets`",
        )


def _is_table(module: Any) -> bool:
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    return isinstance(module, StaticEmbedding)


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
