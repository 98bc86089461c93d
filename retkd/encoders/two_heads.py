"""An encoder with a head for labels and one for the teacher: in training two vectors of a text, published one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from retkd.encoders.encoder import Encoder, Side
from retkd.heads import HEADS, HeadName

SHORTEST = 1e-12
"""The least length that a vector is divided by, as in torch's normalize."""


class TwoHeadedEncoder(Encoder):
    """As :class:`Encoder`, with both heads' vectors one behind the other. ``model`` ends with the heads, and each gives its
    vector under a name of its own; what is saved is :meth:`plain`."""

    def __init__(self, model: Any, share: float, normalize: bool) -> None:
        super().__init__(model)
        self.shares = dict(zip(HEADS, (share, 1.0 - share), strict=True))
        self.normalize = normalize

    @property
    def head_dim(self) -> int:
        """Width of one head's vectors."""
        return super().dim

    @property
    def dim(self) -> int:
        """Width of the published vectors."""
        return self.head_dim * len(self.published)

    @property
    def num_parameters(self) -> int:
        """Of the modules that are published."""
        return self.plain().num_parameters

    @property
    def published(self) -> list[HeadName]:
        """The heads that count."""
        return [name for name in HEADS if self.shares[name] > 0]

    def forward(self, columns: dict[str, list[list[int]]], side: Side) -> Any:
        """As of :meth:`plain`."""
        told = self.model(self.features(columns, side), task=side)
        vectors = torch.cat([self.shares[name] ** 0.5 * told[output_of(name)] for name in self.published], dim=1)
        return functional.normalize(vectors, dim=1) if self.normalize else vectors

    def views(self, vectors: Tensor) -> dict[HeadName, Tensor]:
        """:func:`views` of ``[text, both heads' dims]``."""
        raw = dict(zip(HEADS, torch.split(vectors, self.head_dim, dim=1), strict=True))
        return views(raw, self.shares) if self.normalize else raw

    def plain(self) -> Encoder:
        """The published model: one linear layer for both heads, and nothing but sentence-transformers' own modules."""
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.base.modules import Normalize

        transformer, pooling, *heads = list(self.model)
        by_name = dict(zip(HEADS, heads, strict=True))
        joined = _joined([(self.shares[name] ** 0.5, by_name[name].linear) for name in self.published])
        modules: list[Any] = [transformer, pooling, joined, *([Normalize()] if self.normalize else [])]
        prompts = dict(self.model.prompts or {})
        return Encoder(SentenceTransformer(modules=modules, prompts=prompts, device=str(self.model.device)))

    def save(self, folder: Path) -> None:
        """Save :meth:`plain`."""
        self.plain().save(folder)


def output_of(name: HeadName) -> str:
    """The name under which the model gives a head's vectors."""
    return f"{name}_embedding"


def views(raw: Mapping[HeadName, Tensor], shares: Mapping[HeadName, float]) -> dict[HeadName, Tensor]:
    """Each head's vectors ``[text, dim]`` as parts of one unit vector: divided by sqrt(sum of share x squared length).

    So share-weighted inner products of the heads add up to the cosine of the published vectors, which a blockwise
    normalisation would give too, but no sentence-transformers module does that. The other head's length is detached: no
    gradient of a head's scores reaches the other head. At the shares 0 and 1 each head has unit length by itself.
    """
    if not all(shares.values()):
        return {name: functional.normalize(vectors, dim=1) for name, vectors in raw.items()}
    found = {}
    for name, own in raw.items():
        squares = [
            shares[each] * (own if each == name else vectors.detach()).square().sum(dim=1, keepdim=True)
            for each, vectors in raw.items()
        ]
        found[name] = own / torch.stack(squares).sum(dim=0).clamp_min(SHORTEST**2).sqrt()
    return found


def _joined(scaled: list[tuple[float, Any]]) -> Any:
    """One linear layer whose output is that of several, each multiplied by its number, one behind the other."""
    from sentence_transformers.base.modules import Dense

    weight, bias = (torch.cat([by * getattr(head, of).detach() for by, head in scaled]) for of in ("weight", "bias"))
    activation = torch.nn.Identity()
    return Dense(weight.shape[1], len(weight), activation_function=activation, init_weight=weight, init_bias=bias)
