"""An encoder that gives one vector per token, and MaxSim over such vectors."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from retkd.batching import default_tokens_per_batch, token_batches
from retkd.encoders import told_of
from retkd.encoders.encoder import Encoder, Side
from retkd.encoders.late_interaction_encoder import LateInteractionEncoder
from retkd.errors import ModelError
from retkd.matchers.cross_encoder import Pair, require_finite
from retkd.matchers.token_pairs import numbered, scored_by_document

MULTI_VECTOR = ("MultiVectorEncoder", "ColBERT", "HF_ColBERT")


class TokenEncoder:
    """A late-interaction model as sentence-transformers loads it (its own, PyLate's, Stanford's), its vectors untouched;
    or a dense encoder, whose token states, markers included, are brought to length 1."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.model = encoder.model

    @classmethod
    def load(cls, path: Path, device: str) -> "TokenEncoder":
        """Load a folder. Raises :class:`ModelError` when it does not begin with a text transformer."""
        from sentence_transformers import MultiVectorEncoder, SentenceTransformer
        from sentence_transformers.base.modules import Transformer

        many = _is_multi_vector(path)
        model: Any = (MultiVectorEncoder if many else SentenceTransformer)(str(path), device=device).eval()
        if not isinstance(model[0], Transformer) or model.tokenizer is None:
            raise ModelError(
                "a late-interaction teacher needs vectors of tokens, and this model does not begin with a transformer",
                where=path,
                seen=type(model[0]).__name__,
                next_step="choose a transformer encoder",
            )
        return cls(LateInteractionEncoder(model) if many else Encoder(model))

    @property
    def is_multi_vector(self) -> bool:
        """Whether the model was made for late interaction."""
        return self.encoder.MAXSIM

    def vectors(self, texts: Sequence[str], side: Side) -> list[Float[Tensor, "token dim"]]:
        """The vectors of each text, in one forward pass, prompts included."""
        encode = self.model.encode_query if side == "query" else self.model.encode_document
        told = {"output_value": "token_embeddings", "convert_to_numpy": False, "show_progress_bar": False}
        found = encode(list(texts), batch_size=len(texts), **told)
        return list(found) if self.is_multi_vector else [torch.nn.functional.normalize(each, dim=1) for each in found]

    def counts(self, texts: Sequence[str], side: Side) -> list[int]:
        """Tokens of each text with its prompt and markers, without a cut."""
        told = [self.encoder.prompt(side) + text for text in texts]
        encoded = self.model.tokenizer(told, return_attention_mask=False, verbose=False)
        return [len(row) for row in encoded["input_ids"]]

    def limit(self, side: Side) -> int:
        """Tokens at which a text is cut."""
        return self.encoder.max_length(side) or 2**31

    def score_with_cuts(
        self, pairs: Sequence[Pair], tokens_per_batch: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(float32 sums of MaxSim ``[pair]``, whether a text of the pair was cut)."""
        queries, query_of = numbered([query for query, _ in pairs])
        documents, document_of = numbered([document for _, document in pairs])
        budget = tokens_per_batch or default_tokens_per_batch(self.model.device.type)
        query_counts, counts = np.array(self.counts(queries, "query")), np.array(self.counts(documents, "document"))
        with torch.inference_mode():
            vectors: dict[int, Tensor] = {}
            for batch in token_batches(query_counts, budget):
                vectors |= dict(zip(batch.tolist(), self.vectors([queries[i] for i in batch], "query"), strict=True))
            scores = scored_by_document(
                query_of,
                document_of,
                [vectors[row] for row in range(len(queries))],
                np.minimum(counts, self.limit("document")),
                lambda rows: self.vectors([documents[row] for row in rows], "document"),
                maxsim,
                budget,
            )
        require_finite(scores, pairs)
        return scores, (query_counts > self.limit("query"))[query_of] | (counts > self.limit("document"))[document_of]


def maxsim(
    query: Float[Tensor, "pair left dim"],
    query_mask: Bool[Tensor, "pair left"],
    document: Float[Tensor, "pair right dim"],
    document_mask: Bool[Tensor, "pair right"],
) -> Float[Tensor, "pair"]:
    """Sum over the query's vectors of the greatest inner product with one of the document's. Khattab and Zaharia 2020, eq. 3."""
    products = (query @ document.transpose(1, 2)).float().masked_fill(~document_mask.unsqueeze(1), -torch.inf)
    return products.amax(dim=2).masked_fill(~query_mask, 0.0).sum(dim=1)


def _is_multi_vector(path: Path) -> bool:
    if (kind := told_of(path).get("model_type")) is not None:
        return kind in MULTI_VECTOR
    config = path / "config.json"
    architectures = json.loads(config.read_text(encoding="utf-8")).get("architectures") if config.is_file() else None
    return bool(set(architectures or []) & set(MULTI_VECTOR))
