"""The stack of layers inside a transformers model."""

from dataclasses import dataclass
from typing import Any

from retkd.errors import ModelError

FINAL_NORMS = ("norm", "final_norm", "final_layer_norm", "ln_f")
"""What architectures that normalise before each layer call the one after the last."""
INTERMEDIATE = ("intermediate_size", "hidden_dim", "d_ff")
"""What configurations call the number of intermediate dimensions."""


@dataclass(frozen=True)
class StackShape:
    """How many layers a stack has, and how wide a hidden state is."""

    layers: int
    width: int


def layer_list(transformer: Any) -> tuple[Any, str]:
    """(module, attribute name) of the encoder's stack of layers: the longest ``ModuleList`` of equal blocks."""
    from torch.nn import ModuleList

    found = []
    for module in transformer.modules():
        for name, child in module.named_children():
            if isinstance(child, ModuleList) and len({type(block) for block in child}) == 1:
                found.append((len(child), module, name))
    if not found:
        raise ModelError("no stack of layers was found in the model", seen=type(transformer).__name__)
    _, holder, name = max(found, key=lambda item: item[0])
    return holder, name


def stack(transformer: Any) -> Any:
    """The encoder's layers, a ``ModuleList``."""
    holder, name = layer_list(transformer)
    return getattr(holder, name)


def final_norm(transformer: Any) -> Any | None:
    """The norm that follows the last layer, None where there is none."""
    holder, _ = layer_list(transformer)
    return next((module for name, module in holder.named_children() if name in FINAL_NORMS), None)


def stack_shape(transformer: Any) -> StackShape:
    """The depth and width of a transformers encoder."""
    return StackShape(len(stack(transformer)), int(transformer.config.hidden_size))
