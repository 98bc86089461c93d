"""What the layers of an encoder made of one pass: hidden states, queries, keys and values, read by hooks.

Hooks work with every attention implementation: attention matrices, which only the slow one gives, are not read. What a
method does with them can be had from queries and keys.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, nn

from retkd.errors import ModelError
from retkd.layers import final_norm, stack

APART = (
    ("query", "key", "value"),
    ("query_proj", "key_proj", "value_proj"),
    ("q_proj", "k_proj", "v_proj"),
    ("q_lin", "k_lin", "v_lin"),
    ("q", "k", "v"),
)
TOGETHER = ("Wqkv", "qkv_proj", "qkv")
"""What architectures call the projections of their attention."""


@dataclass(frozen=True)
class Reads:
    """Layers that are read. Hidden states count from 0, the embeddings' output; queries, keys and values from 1."""

    hidden: frozenset[int] = frozenset()
    projections: frozenset[int] = frozenset()

    def __or__(self, other: "Reads") -> "Reads":
        return Reads(self.hidden | other.hidden, self.projections | other.projections)


@dataclass(frozen=True)
class States:
    """By layer, in float32. The last hidden state is after the final norm, where the architecture has one."""

    mask: Bool[Tensor, "text token"]
    hidden: dict[int, Float[Tensor, "text token width"]] = field(default_factory=dict)
    queries: dict[int, Float[Tensor, "text token _"]] = field(default_factory=dict)
    keys: dict[int, Float[Tensor, "text token _"]] = field(default_factory=dict)
    values: dict[int, Float[Tensor, "text token _"]] = field(default_factory=dict)

    def detached(self) -> "States":
        """The same, as constants."""
        told = (self.hidden, self.queries, self.keys, self.values)
        return States(self.mask, *({layer: state.detach() for layer, state in each.items()} for each in told))


@contextmanager
def recorded(transformer: Any, reads: Reads, mask: Tensor) -> Iterator[States]:
    """States that a pass inside the ``with`` block fills in. ``mask`` is the pass's attention mask.

    Raises :class:`ModelError` where the states are not ``[text, token, width]``.
    """
    states = States(mask.bool())
    handles = [*_hidden_hooks(transformer, reads, states), *_projection_hooks(transformer, reads, states)]
    try:
        yield states
    finally:
        for handle in handles:
            handle.remove()
    for each in (states.hidden, states.queries):
        for layer, tensor in each.items():
            if tensor.shape[:2] != mask.shape:
                raise ModelError(
                    "the layers of this model do not keep a row per text, so terms cannot read them",
                    where=f"layer {layer} of {type(transformer).__name__}",
                    seen=f"shape {tuple(tensor.shape)} for {tuple(mask.shape)} tokens",
                    next_step="load the model without unpadding (attention: sdpa or eager)",
                )


def _hidden_hooks(transformer: Any, reads: Reads, states: States) -> list[Any]:
    layers = stack(transformer)
    _require_layers(reads.hidden, 0, len(layers), transformer)
    last = final_norm(transformer)

    def entering(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        states.hidden[0] = (args[0] if args else kwargs["hidden_states"]).float()

    handles = []
    for layer in sorted(reads.hidden):
        if layer == 0:
            handles.append(layers[0].register_forward_pre_hook(entering, with_kwargs=True))
        else:
            module = last if layer == len(layers) and last is not None else layers[layer - 1]
            handles.append(module.register_forward_hook(_into(states.hidden, layer)))
    return handles


def _projection_hooks(transformer: Any, reads: Reads, states: States) -> list[Any]:
    layers = stack(transformer)
    _require_layers(reads.projections, 1, len(layers), transformer)
    handles = []
    for layer in sorted(reads.projections):
        apart, together = _projections(layers[layer - 1])
        if together is not None:
            handles.append(together.register_forward_hook(_split_into(states, layer)))
        else:
            targets = (states.queries, states.keys, states.values)
            handles += [m.register_forward_hook(_into(at, layer)) for m, at in zip(apart, targets, strict=True)]
    return handles


def _projections(layer: nn.Module) -> tuple[tuple[nn.Module, ...], nn.Module | None]:
    """The three modules that make queries, keys and values, or the one that makes all."""
    for module in layer.modules():
        for names in APART:
            found = [getattr(module, name, None) for name in names]
            if all(isinstance(each, nn.Linear) for each in found):
                return tuple(found), None  # type: ignore[arg-type]
        for name in TOGETHER:
            if isinstance(getattr(module, name, None), nn.Linear):
                return (), getattr(module, name)
    raise ModelError(
        "the attention of this architecture has no queries, keys and values under a name that is known",
        seen=type(layer).__name__,
        allowed=", ".join("/".join(names) for names in (*APART, TOGETHER)),
        next_step="use a term that reads hidden states, such as layer_mse",
    )


def _into(target: dict[int, Tensor], layer: int) -> Callable[..., None]:
    def hook(module: nn.Module, args: Any, output: Any) -> None:
        target[layer] = (output[0] if isinstance(output, tuple) else output).float()

    return hook


def _split_into(states: States, layer: int) -> Callable[..., None]:
    def hook(module: nn.Module, args: Any, output: Tensor) -> None:
        parts = output.float().chunk(3, dim=-1)
        states.queries[layer], states.keys[layer], states.values[layer] = parts

    return hook


def _require_layers(layers: frozenset[int], first: int, num_layers: int, transformer: Any) -> None:
    beyond = sorted(layer for layer in layers if not first <= layer <= num_layers)
    if beyond:
        raise ModelError(
            "a term reads a layer that the model does not have",
            where=type(transformer).__name__,
            seen=beyond,
            allowed=f"{first} to {num_layers}" + (" (0: the embeddings' output)" if first == 0 else ""),
        )
