"""A small encoder out of a bigger one: keep some of its layers."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from retkd.errors import ModelError
from retkd.layers import layer_list
from retkd.parts import Part


class First(Part):
    """The lowest ``first`` layers."""

    first: PositiveInt


class Every(Part):
    """Every ``every``-th layer, counted from the top, so that the last layer stays: of 6, every=2 keeps 1, 3, 5."""

    every: PositiveInt = Field(ge=2)


FORMS = (
    "`every_second`, {first: n}, {every: n} with n from 2 on, or a list of indices such as [0, 2, 5], "
    "which count from 0 and are never negative"
)


def _told_once(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """One error that gives the forms, not one per form."""
    try:
        return handler(value)
    except ValidationError:
        raise ValueError(f"the layers to keep are {FORMS}") from None


Layers = Annotated[list[NonNegativeInt] | First | Every | Literal["every_second"] | None, WrapValidator(_told_once)]
"""Which layers to keep: a list of indices from 0, ``{first: n}``, ``{every: n}``, ``every_second``, or all (null)."""


def kept(layers: Layers, num_layers: int, where: str) -> list[int]:
    """Indices of the layers that stay.

    >>> kept("every_second", 6, ""), kept(Every(every=3), 6, ""), kept(First(first=2), 6, ""), kept(None, 2, "")
    ([1, 3, 5], [2, 5], [0, 1], [0, 1])
    """
    match layers:
        case None:
            chosen = list(range(num_layers))
        case "every_second":
            chosen = list(range(num_layers))[::-1][::2][::-1]
        case Every(every=step):
            chosen = list(range(num_layers))[::-1][::step][::-1]
        case First(first=count):
            chosen = list(range(count))
        case _:
            chosen = list(layers)
    if not chosen or chosen != sorted(set(chosen)) or chosen[-1] >= num_layers:
        raise ModelError(
            "the student cannot keep these layers",
            where=f"student.layers of {where}",
            seen=chosen,
            allowed=f"rising indices from 0 to {num_layers - 1}",
            next_step=FORMS,
        )
    return chosen


def keep_layers(transformer: Any, layers: Layers, where: str) -> list[int]:
    """Drop the other layers of a transformers encoder in place; the indices that were kept.

    Raises :class:`ModelError` where the rest would not come back from disk: some architectures make their first layer
    unlike the others (T5 its position biases, ModernBERT its missing norm), so it cannot be left out.
    """
    holder, name = layer_list(transformer)
    stack = getattr(holder, name)
    chosen = kept(layers, len(stack), where)
    if len(chosen) == len(stack):
        return chosen
    setattr(holder, name, type(stack)(stack[i] for i in chosen))
    for place, layer in enumerate(getattr(holder, name)):
        for module in layer.modules():
            if getattr(module, "layer_idx", None) is not None:
                module.layer_idx = place
    _tell(transformer.config, chosen, len(stack))
    _require_loadable(transformer, where, chosen)
    return chosen


def _tell(config: Any, chosen: list[int], num_layers: int) -> None:
    """Write the new number of layers, and what a configuration says layer by layer, into it."""
    for field in ("num_hidden_layers", "n_layers"):
        if hasattr(config, field):
            setattr(config, field, len(chosen))
    for field, value in vars(config).items():
        if field.endswith("layer_types") and isinstance(value, list) and len(value) == num_layers:
            setattr(config, field, [value[i] for i in chosen])


def _require_loadable(transformer: Any, where: str, chosen: list[int]) -> None:
    from torch import device

    with device("meta"):
        fresh = type(transformer)(transformer.config)
    if fresh.state_dict().keys() != transformer.state_dict().keys():
        raise ModelError(
            "this architecture cannot do without its first layer: without it the student would not come back from disk",
            where=f"student.layers of {where}",
            seen=f"{chosen} of {type(transformer).__name__}",
            allowed="layers that begin with 0",
            next_step="keep layer 0, as in [0, 2, 5] or {first: n}",
        )


def set_dropout(transformer: Any, rate: float) -> None:
    """Set every dropout of a transformer, in its modules and its configuration."""
    from torch.nn import Dropout

    for module in transformer.modules():
        if isinstance(module, Dropout):
            module.p = rate
        for name in ("dropout_prob", "attention_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, rate)
    for field in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout"):
        if hasattr(transformer.config, field):
            setattr(transformer.config, field, rate)
