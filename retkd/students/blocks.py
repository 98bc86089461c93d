"""Layers that normalise after each part, as BERT's: where their parts are, what they cost, how they are taken out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from retkd.errors import ModelError
from retkd.layers import stack
from retkd.students.feed_forward import FeedForward, feed_forwards
from retkd.students.initialisation import keep_layers
from retkd.students.joint_masks import Cost, Costs, Cut
from retkd.students.width import narrower


class Names(NamedTuple):
    """What an architecture calls the modules of a layer; ``feed_forward``: the children that make up that part."""

    into: tuple[str, str, str]
    out: str
    attention_norm: str
    norm: str
    feed_forward: tuple[str, str]


BERT = Names(
    ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention.output.dense",
    "attention.output.LayerNorm",
    "output.LayerNorm",
    ("intermediate", "output"),
)
DISTILBERT = Names(
    ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    "attention.out_lin",
    "sa_layer_norm",
    "output_layer_norm",
    ("ffn", "output_layer_norm"),
)
NAMES = {
    **dict.fromkeys(("bert", "camembert", "electra", "roberta", "xlm-roberta"), BERT),
    "distilbert": DISTILBERT,
}
"""By the ``model_type`` of the configuration."""


class Block(NamedTuple):
    """A layer: the modules into and out of its heads, its intermediate dimensions, the norm after either part."""

    layer: nn.Module
    into: tuple[nn.Linear, ...]
    out: nn.Linear
    attention_norm: nn.LayerNorm
    feed_forward: FeedForward
    norm: nn.LayerNorm


class Surroundings(NamedTuple):
    """What stands outside the layers and is as wide as they are."""

    embeddings: list[nn.Embedding]
    norms: list[nn.LayerNorm]
    poolers: list[nn.Linear]


def blocks(transformer: Any, where: str) -> list[Block]:
    """The layers. Raises :class:`ModelError` for an architecture whose parts are not known."""
    names = _names(transformer, where)
    return [
        Block(
            layer,
            tuple(layer.get_submodule(name) for name in names.into),
            layer.get_submodule(names.out),
            layer.get_submodule(names.attention_norm),
            feed_forward,
            layer.get_submodule(names.norm),
        )
        for layer, feed_forward in zip(stack(transformer), feed_forwards(transformer, where), strict=True)
    ]


def surroundings(transformer: Any, where: str) -> Surroundings:
    """Raises :class:`ModelError` where a module outside the layers is as wide as they are, and unknown.

    Such a module is ELECTRA's projection of narrower embeddings: no folder has it where both become equally wide.
    """
    dim, found = int(transformer.config.hidden_size), Surroundings([], [], [])
    inside = {id(module) for module in stack(transformer).modules()}
    for name, module in transformer.named_modules():
        wide = [p for p in module.parameters(recurse=False) if dim in p.shape]
        if id(module) in inside or not wide:
            continue
        match module:
            case nn.Embedding(embedding_dim=width) if width == dim:
                found.embeddings.append(module)
            case nn.LayerNorm(normalized_shape=(width,)) if width == dim:
                found.norms.append(module)
            case nn.Linear() if name.split(".")[0] == "pooler":
                found.poolers.append(module)
            case nn.Embedding():
                pass
            case _:
                raise _unknown(f"{name}: {type(module).__name__}", where)
    return found


def costs(transformer: Any, where: str) -> Costs:
    """Parameters by head, intermediate and hidden dimension, the same in all layers."""
    config = transformer.config
    dim, heads = int(config.hidden_size), int(config.num_attention_heads)
    first = blocks(transformer, where)[0]
    head = first.out.in_features // heads

    def biases(modules: Sequence[nn.Linear]) -> int:
        return sum(module.bias is not None for module in modules)

    def cost(into: tuple[nn.Linear, ...], out: nn.Linear, each: int) -> Cost:
        return Cost(each * (len(into) + 1), each * biases(into), biases([out]) + 2)

    feed_forward = first.feed_forward
    found = Costs(cost(first.into, first.out, head), cost(feed_forward.into, feed_forward.out, 1), head)
    counted = sum(p.numel() for p in first.layer.parameters())
    if counted != found.of(1, heads, feed_forward.out.in_features, dim):
        raise _unknown(f"a layer of {counted} parameters", where)
    return found


def taken_out(transformer: Any, kept: Cut, where: str) -> Any:
    """A new plain model of the same class, without what goes; its vectors are those dimensions that stay.

    ``transformer`` is used up.
    """
    config, names = transformer.config, _names(transformer, where)
    hidden = kept.hidden if len(kept.hidden) < config.hidden_size else None
    all_blocks = blocks(transformer, where)
    for block in all_blocks if hidden is not None else []:
        _narrow(block, hidden or [])
    for place, heads in kept.heads.items():
        _keep_heads(all_blocks[place], heads, config.num_attention_heads)
    for place, inner in kept.inner.items():
        all_blocks[place].feed_forward.keep(inner)
    if hidden is not None:
        _narrow_outside(surroundings(transformer, where), hidden)
    for first, second in kept.layers:
        for name in names.feed_forward:
            setattr(all_blocks[first].layer, name, getattr(all_blocks[second].layer, name))
    keep_layers(transformer, [first for first, _ in kept.layers], where)
    width = len(next(iter(kept.inner.values())))
    small = (
        type(transformer)(narrower(config, len(kept.hidden), width, where))
        .to(transformer.device, transformer.dtype)
        .eval()
    )
    small.load_state_dict(transformer.state_dict())
    return small


def _names(transformer: Any, where: str) -> Names:
    told = str(transformer.config.model_type)
    if told not in NAMES:
        raise _unknown(told, where)
    return NAMES[told]


def _narrow(block: Block, dims: list[int]) -> None:
    for reader in (*block.into, *block.feed_forward.into):
        _keep(reader, "weight", 1, dims)
    for part in (block.out, block.feed_forward.out, block.attention_norm, block.norm):
        _keep(part, "weight", 0, dims)
        _keep(part, "bias", 0, dims)


def _narrow_outside(found: Surroundings, dims: list[int]) -> None:
    for embedding in found.embeddings:
        _keep(embedding, "weight", 1, dims)
    for part in (*found.norms, *found.poolers):
        _keep(part, "weight", 0, dims)
        _keep(part, "bias", 0, dims)
    for pooler in found.poolers:
        _keep(pooler, "weight", 1, dims)


def _keep_heads(block: Block, heads: list[int], num_heads: int) -> None:
    size = block.out.in_features // num_heads
    dims = [head * size + place for head in heads for place in range(size)]
    for part in block.into:
        _keep(part, "weight", 0, dims)
        _keep(part, "bias", 0, dims)
    _keep(block.out, "weight", 1, dims)


def _keep(module: nn.Module, name: str, axis: int, places: list[int]) -> None:
    value: Tensor | None = getattr(module, name, None)
    if value is not None:
        index = torch.tensor(places, device=value.device)
        setattr(module, name, nn.Parameter(value.detach().index_select(axis, index)))


def _unknown(seen: str, where: str) -> ModelError:
    return ModelError(
        "the parts of this architecture are not known, so that they cannot be pruned one by one",
        where=f"student.adaptation of {where}",
        seen=seen,
        allowed=f"a plain {', '.join(sorted(NAMES))}",
        next_step="leave `width` and `sublayers` out of the adaptation, or choose another base",
    )
