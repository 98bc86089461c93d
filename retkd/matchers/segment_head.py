"""A cross-encoder whose head begins where a sentence encoder ends: it compares the two segments of the pair.

A new classifier on [CLS] knows nothing of relevance and needs thousands of pairs to find it. A sentence encoder's mean
vectors do: read the pair in one pass, take the mean u of the query's tokens and v of the document's, and score

    scale * cos(u, v) + w . [u * v ; |u - v|]

with w = 0 at first. The features of w are those of InferSent (Conneau et al. 2017) without u and v themselves. The
folder holds the encoder and ``segment_head.safetensors``. :mod:`retkd.matchers.uni_encoder` has the same head.
"""

from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from retkd.matchers.headed import HeadedEncoder

INITIAL_SCALE = 10.0
QUERY, DOCUMENT = 1, 2


class SegmentHead(HeadedEncoder):
    """An encoder with the head on top."""

    reads_segments: ClassVar[bool] = True

    def __init__(self, encoder: Any) -> None:
        super().__init__(encoder)
        self.scale = nn.Parameter(torch.tensor(INITIAL_SCALE))
        self.weight = nn.Parameter(torch.zeros(2 * encoder.config.hidden_size))

    def compare(self, u: Float[Tensor, "pair dim"], v: Float[Tensor, "pair dim"]) -> Float[Tensor, "pair"]:
        """Float32 scores of pairs of mean vectors."""
        u, v = u.float(), v.float()
        features_of_pair = torch.cat([u * v, (u - v).abs()], dim=1)
        return self.scale * torch.cosine_similarity(u, v, dim=1) + features_of_pair @ self.weight


class SegmentCrossEncoder(SegmentHead):
    """Called like a sequence-classification model with one label, and with ``segments`` ``[pair, token]``:
    1 on the query's tokens, 2 on the document's, 0 on special tokens and padding."""

    HEAD_FILE: ClassVar[str] = "segment_head.safetensors"

    def forward(self, segments: Tensor, **features: Tensor) -> SimpleNamespace:
        """``logits`` ``[pair, 1]``, float32."""
        states = self.base_model(**features).last_hidden_state
        u, v = (mean_of(states, segments == segment) for segment in (QUERY, DOCUMENT))
        return SimpleNamespace(logits=self.compare(u, v).unsqueeze(1))


def mean_of(states: Tensor, mask: Tensor) -> Tensor:
    """``[pair, dim]``: mean of ``states`` ``[pair, token, dim]`` where ``mask`` ``[pair, token]``; 0 for an empty text."""
    weights = mask.unsqueeze(2).to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
