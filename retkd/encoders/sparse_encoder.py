"""A sentence-transformers sparse encoder (SPLADE), run in batches by tokens: texts in, one row of term weights each out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from retkd.batching import default_tokens_per_batch
from retkd.encoders.encoder import Encoder, Side

MOST_TOKENS = 8192
"""A token has a float for each term of the vocabulary before pooling: 8,192 tokens of 30,522 terms are 1 GB."""


class SparseEncoder(Encoder):
    """Wraps a loaded ``sentence_transformers.SparseEncoder``: the same weights as its own two ``encode_...``."""

    KIND: ClassVar[str] = "SparseEncoder"

    @staticmethod
    def _loaded(path: Path, device: str) -> Any:
        from sentence_transformers import SparseEncoder as Loaded

        return Loaded(str(path), device=device)

    @property
    def dim(self) -> int:
        """Terms of the vocabulary. A pooling that was saved before its first pass does not know: the head has a row each."""
        tower = self.tower("document")
        return int(tower[-1].get_embedding_dimension() or tower[0].auto_model.get_output_embeddings().weight.shape[0])

    def encode_sparse(self, texts: Sequence[str], side: Side, tokens_per_batch: int | None = None) -> tuple[Any, int]:
        """A float32 scipy CSR matrix ``[text, vocab]`` in the order of ``texts``, and how many were cut."""
        import torch
        from scipy.sparse import csr_matrix, vstack

        if not len(texts):
            return csr_matrix((0, self.dim), dtype=np.float32), 0
        if not self.reads_tokens(side):
            return self._by_the_model(texts, side), 0
        budget = tokens_per_batch or min(default_tokens_per_batch(self.model.device.type), MOST_TOKENS)
        batches, cut = self._batches(texts, side, budget)
        order, parts = [], []
        with torch.inference_mode():
            for batch, columns in batches:
                parts.append(csr_matrix(self._active(self.forward(columns, side)).float().cpu().numpy()))
                order += list(batch)
        return vstack(parts, format="csr")[np.argsort(order)], cut

    def represented(self, texts: Sequence[str], side: Side, tokens_per_batch: int | None = None) -> Any:
        """Term weights as a scipy CSR matrix ``[text, vocab]``."""
        return self.encode_sparse(texts, side, tokens_per_batch)[0]

    def pair_scores(self, queries: Any, documents: Any, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Inner products of the rows at ``left`` with the rows at ``right``."""
        scores: np.ndarray = np.asarray(queries[left].multiply(documents[right]).sum(axis=1)).ravel()
        return scores

    def encode_with_cuts(
        self, texts: Sequence[str], side: Side, tokens_per_batch: int | None = None
    ) -> tuple[np.ndarray, int]:
        """The weights written out, ``[text, vocab]``, zeros and all: for a few texts only."""
        weights, cut = self.encode_sparse(texts, side, tokens_per_batch)
        return weights.toarray(), cut

    def terms(self) -> list[str]:
        """The word pieces that the columns stand for, in their order."""
        pieces = self.tokenizer("document").convert_ids_to_tokens(range(self.dim))
        return [str(piece) for piece in pieces]

    def _active(self, weights: Any) -> Any:
        """The weights with all but the model's ``max_active_dims`` greatest of each text set to 0."""
        from sentence_transformers.util import select_max_active_dims

        most = self.model.max_active_dims
        return weights if most is None else select_max_active_dims(weights, max_active_dims=most)

    def _by_the_model(self, texts: Sequence[str], side: Side) -> Any:
        """For a model whose first module is no transformer: a router, an inference-free query side."""
        from scipy.sparse import csr_matrix

        encode = self.model.encode_query if side == "query" else self.model.encode_document
        found = encode(list(texts), save_to_cpu=True, show_progress_bar=False).coalesce()
        values = found.values().float().numpy()
        return csr_matrix((values, found.indices().numpy()), shape=tuple(found.shape), dtype=np.float32)
