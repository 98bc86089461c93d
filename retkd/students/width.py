"""A narrower student: the leading slice of every tensor of its base."""

import copy
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt

from retkd.errors import ModelError
from retkd.layers import INTERMEDIATE
from retkd.students.inheritance import Inheritance, Texts, reloaded

if TYPE_CHECKING:
    from torch import Tensor

FUSED = {"Wqkv": 3, "qkv": 3, "in_proj_weight": 3, "in_proj_bias": 3, "c_attn": 3, "Wi": 2}
"""Modules or parameters that hold several matrices above each other, and how many."""


class Width(Inheritance):
    """Fewer dimensions (TinyCLIP's manual inheritance: Wu et al. 2023, ``weight_inherit.py``).

    Heads keep their size, so that a query, key or value keeps the rows of its first heads, whole; ``hidden`` is a
    multiple of it. LayerNorms were fitted to all dimensions: expect a weak start and train longer.
    """

    kind: Literal["width"] = "width"
    hidden: PositiveInt
    intermediate: PositiveInt | None = None

    def inherit(self, transformer: Any, texts: Texts, where: str) -> Any:
        """The module with a narrower model."""
        transformer.model = narrowed(transformer.model, self.hidden, self.intermediate, where)
        return reloaded(transformer)


def narrowed(model: Any, hidden: int, intermediate: int | None, where: str) -> Any:
    """A new model of the same class and depth; with equal sizes it is a copy. All its parameters are inherited.

    ``intermediate`` is by default in the base's proportion to ``hidden``.
    """
    import torch

    small = type(model)(narrower(model.config, hidden, intermediate, where)).eval()
    source, target = model.state_dict(), small.state_dict()
    if source.keys() != target.keys():
        raise _not_covered(sorted(source.keys() ^ target.keys()), where)
    with torch.no_grad():
        for name, tensor in target.items():
            tensor.copy_(leading(source[name], tuple(tensor.shape), name, where))
    return small


def narrower(config: Any, hidden: int, intermediate: int | None, where: str) -> Any:
    """The configuration with fewer dimensions and, in proportion, fewer heads."""
    config = copy.deepcopy(config)
    width = _named(config, where, "hidden_size", "dim", "d_model")
    heads = _named(config, where, "num_attention_heads", "n_heads")
    inner = _named(config, where, *INTERMEDIATE)
    old, old_heads, old_inner = (int(getattr(config, name)) for name in (width, heads, inner))
    groups = int(getattr(config, "num_key_value_heads", None) or old_heads)
    if hidden > old or hidden % (old // groups):
        unit = "head" if groups == old_heads else "group of heads"
        raise ModelError(
            "the student cannot have this width",
            where=f"student.initialisation of {where}",
            seen=f"hidden {hidden}",
            allowed=f"multiples of {old // groups}, which is one {unit}, up to {old}",
        )
    for name in (width, "embedding_size", "pooler_hidden_size"):
        if getattr(config, name, None) == old:
            setattr(config, name, hidden)
    setattr(config, heads, old_heads * hidden // old)
    if groups != old_heads or hasattr(config, "num_key_value_heads"):
        config.num_key_value_heads = groups * hidden // old
    setattr(config, inner, intermediate if intermediate is not None else max(old_inner * hidden // old, 1))
    return config


def leading(source: "Tensor", shape: tuple[int, ...], name: str, where: str) -> "Tensor":
    """The leading slice of ``source`` that has this shape; of each part of a tensor that holds several."""
    count = next((FUSED[part] for part in name.split(".") if part in FUSED), 1)
    wanted = (count, shape[0] // count, *shape[1:]) if shape else ()
    parts = source.view(count, -1, *source.shape[1:]) if shape else source
    if len(wanted) != parts.dim() or any(new > old for new, old in zip(wanted, parts.shape, strict=True)):
        raise ModelError(
            "the student cannot be wider than its base",
            where=f"{name} of {where}",
            seen=list(shape),
            allowed=f"at most {list(source.shape)}",
            next_step="lower student.initialisation's hidden or intermediate",
        )
    return parts[tuple(slice(0, size) for size in wanted)].reshape(shape)


def _named(config: Any, where: str, *names: str) -> str:
    """The one of these names that the configuration knows."""
    found = next((name for name in names if isinstance(getattr(config, name, None), int)), None)
    if found is None:
        raise ModelError(
            "the configuration of this architecture does not say its sizes",
            where=where,
            seen=type(config).__name__,
            allowed=f"one with {' or '.join(names)}",
        )
    return found


def _not_covered(names: list[str], where: str) -> ModelError:
    return ModelError(
        "the narrower model has not the parameters of its base, so that some would not be inherited",
        where=where,
        seen=", ".join(names[:4]),
        next_step="choose another base, or leave the step `width` out",
    )
