"""BECA: query and document are encoded apart, then every token of one looks at the other.

With token states q ``[M, dim]`` and d ``[N, dim]``: each token gets a counterpart by attention over the other text
(ESIM, Chen et al. 2017, eq. 11-13), [x ; y ; x - y ; x * y ; (x - y)^2] enhances it, a linear map with ReLU brings it
back to ``dim``; a text is then [its first token ; mean ; maximum], the two texts are enhanced in the same way and an MLP
gives the score. So all pairs of a batch come from one encoding of each text. Tahami et al. 2020, "Distilling
Knowledge for Fast Retrieval-based Chat-bots", section 3; both texts share the linear map and the MLP has one hidden layer
of ``dim``, as this project chose. Their maximum is taken after zeros for padding; here padding is minus infinity.
"""

from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from retkd.batch import Features
from retkd.matchers.headed import HeadedEncoder
from retkd.matchers.segment_head import mean_of


class Beca(HeadedEncoder):
    """An encoder and the matcher. The folder holds the encoder and ``beca_head.safetensors``."""

    HEAD_FILE: ClassVar[str] = "beca_head.safetensors"

    def __init__(self, encoder: Any) -> None:
        super().__init__(encoder)
        dim = encoder.config.hidden_size
        self.compose = nn.Linear(5 * dim, dim)
        self.judge = nn.Sequential(nn.Linear(15 * dim, dim), nn.ReLU(), nn.Linear(dim, 1))

    @classmethod
    def load(cls, folder: Path, dtype: torch.dtype = torch.float32, **loading: Any) -> Self:
        """As an encoder with any head; the matcher has the encoder's precision."""
        return super().load(folder, dtype, **loading).to(dtype)

    def states(self, features: Features) -> Float[Tensor, "text token dim"]:
        """Token states of texts read alone."""
        states: Tensor = self.base_model(**features).last_hidden_state
        return states

    def match(
        self,
        query: Float[Tensor, "pair left dim"],
        query_mask: Bool[Tensor, "pair left"],
        document: Float[Tensor, "pair right dim"],
        document_mask: Bool[Tensor, "pair right"],
    ) -> Float[Tensor, "pair"]:
        """Float32 scores of pairs of texts; a text's first token is never padding."""
        attention = query @ document.transpose(1, 2) / query.shape[2] ** 0.5
        over_document = attention.masked_fill(~document_mask.unsqueeze(1), -torch.inf).softmax(dim=2)
        over_query = attention.masked_fill(~query_mask.unsqueeze(2), -torch.inf).softmax(dim=1)
        left = self._pooled(query, over_document @ document, query_mask)
        right = self._pooled(document, over_query.transpose(1, 2) @ query, document_mask)
        scores: Tensor = self.judge(enhanced(left, right)).squeeze(-1).float()
        return scores

    def _pooled(self, states: Tensor, counterparts: Tensor, mask: Tensor) -> Float[Tensor, "pair pooled"]:
        composed = torch.relu(self.compose(enhanced(states, counterparts)))
        return torch.cat([composed[:, 0], mean_of(composed, mask), masked_max(composed, mask)], dim=1)


def enhanced(x: Tensor, y: Tensor) -> Tensor:
    """[x ; y ; x - y ; x * y ; (x - y)^2] along the last axis."""
    return torch.cat([x, y, x - y, x * y, (x - y) ** 2], dim=-1)


def masked_max(states: Float[Tensor, "pair token dim"], mask: Bool[Tensor, "pair token"]) -> Float[Tensor, "pair dim"]:
    """Greatest value over the tokens of each text; minus infinity at padding, so that it never wins."""
    return states.masked_fill(~mask.unsqueeze(2), -torch.inf).amax(dim=1)
