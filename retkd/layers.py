"""The stack of layers inside a transformers model."""

from typing import Any

from retkd.errors import ModelError


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
