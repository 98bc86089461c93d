"""A table of word vectors as a function of padded tokens, which a graph holds: sentence-transformers reads ragged ones."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import embedding


class Bag(nn.Module):
    """The mean of the rows that a text's tokens name; zeros for a text without one, as torch's ``EmbeddingBag`` has it."""

    def __init__(self, static: Any) -> None:
        super().__init__()
        assert static.embedding.mode == "mean", static.embedding.mode
        self.rows = static.embedding.weight

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """With the vectors ``[text, dim]`` of ``input_ids`` and ``attention_mask``, both ``[text, token]``."""
        mask: Float[Tensor, "text token 1"] = features["attention_mask"].to(self.rows.dtype).unsqueeze(2)
        total: Float[Tensor, "text dim"] = (embedding(features["input_ids"], self.rows) * mask).sum(dim=1)
        return {**features, "sentence_embedding": total / mask.sum(dim=1).clamp_min(1.0)}
