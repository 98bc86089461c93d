"""A cross-encoder whose head begins where a sentence encoder ends: it compares the two segments of the pair.

A new classifier on [CLS] knows nothing of relevance and needs thousands of pairs to find it. A sentence encoder's mean
vectors do: read the pair in one pass, take the mean u of the query's tokens and v of the document's, and score

    scale * cos(u, v) + w . [u * v ; |u - v|]

with w = 0 at first. The features of w are those of InferSent (Conneau et al. 2017) without u and v themselves. The
folder holds the encoder and ``segment_head.safetensors``. :mod:`retkd.matchers.uni_encoder` has the same head.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

INITIAL_SCALE = 10.0
QUERY, DOCUMENT = 1, 2


class SegmentHead(nn.Module):
    """An encoder with the head on top. ``HEAD_FILE`` holds the head in the model's folder, and so tells which model it is."""

    HEAD_FILE: ClassVar[str]
    reads_segments: ClassVar[bool] = True

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.base_model = encoder
        self.scale = nn.Parameter(torch.tensor(INITIAL_SCALE))
        self.weight = nn.Parameter(torch.zeros(2 * encoder.config.hidden_size))

    @classmethod
    def load(cls, folder: Path, dtype: torch.dtype = torch.float32, **loading: Any) -> Self:
        """An encoder folder; with its head when it has one, else with a new one. ``loading``: for ``from_pretrained``."""
        from safetensors.torch import load_file
        from transformers import AutoModel

        model = cls(AutoModel.from_pretrained(str(folder), dtype=dtype, **loading))
        if (folder / cls.HEAD_FILE).is_file():
            head = load_file(folder / cls.HEAD_FILE)
            model.scale.data, model.weight.data = head["scale"], head["weight"]
        return model

    def save_pretrained(self, folder: str) -> None:
        """Write the encoder and the head."""
        from safetensors.torch import save_file

        self.base_model.save_pretrained(folder)
        head = {"scale": self.scale.detach().cpu().contiguous(), "weight": self.weight.detach().cpu().contiguous()}
        save_file(head, Path(folder) / self.HEAD_FILE)

    @property
    def config(self) -> Any:
        """The encoder's configuration."""
        return self.base_model.config

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.scale.device

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
