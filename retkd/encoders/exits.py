"""An encoder with exits: the vectors after some of its layers, from one pass through all of them."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from retkd.batch import Features
from retkd.encoders.encoder import Encoder
from retkd.layers import final_norm
from retkd.training.states import Reads, recorded


class ExitEncoder(Encoder):
    """As :class:`Encoder`, which is the last exit. ``exits``: numbers of layers, rising, the last one all of them.

    Each earlier exit has the final norm, the pooling and the normalisation of the whole; ``heads`` holds its own linear
    map, by the exit's number, where exits have one.
    """

    def __init__(self, model: Any, exits: Sequence[int], heads: nn.ModuleDict) -> None:
        super().__init__(model)
        self.exits, self.heads = tuple(exits), heads

    def vectors(self, features: Features) -> dict[int, Tensor]:
        """``[text, dim]`` at each exit, with gradient if it is on. An early exit's has none on later layers."""
        transformer, after = self.model[0].auto_model, list(self.model)[1:]
        early = Reads(hidden=frozenset(self.exits[:-1]))
        with recorded(transformer, early, features["attention_mask"]) as seen:
            told = self.model[0](dict(features))
        norm = final_norm(transformer)
        found = {}
        for exit in self.exits[:-1]:
            states = seen.hidden[exit] if norm is None else norm(seen.hidden[exit])
            found[exit] = _through(self.modules_after(exit, after), {**told, "token_embeddings": states})
        return {**found, self.exits[-1]: _through(after, told)}

    def modules_after(self, exit: int, after: Sequence[nn.Module]) -> list[nn.Module]:
        """The modules that follow the transformer at an exit: those of the whole, with the exit's own head."""
        if not self.heads or exit == self.exits[-1]:
            return list(after)
        own = self.heads[str(exit)]
        return [own if isinstance(module, type(own)) else module for module in after]


def _through(modules: Sequence[nn.Module], features: dict[str, Any]) -> Tensor:
    for module in modules:
        features = module(features)
    vectors: Tensor = features["sentence_embedding"]
    return vectors
