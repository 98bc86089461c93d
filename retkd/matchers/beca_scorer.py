"""BECA run on texts: each text encoded once, pairs scored from token states."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from retkd.batch import Batch, Features, ScoredBatch
from retkd.batching import default_tokens_per_batch, pad_values, padded, token_batches
from retkd.encoders.encoder import Side
from retkd.matchers.beca import Beca
from retkd.matchers.cross_encoder import Pair, require_finite
from retkd.matchers.pair_models import Precision, dtype_of, load_tokenizer, require_head
from retkd.matchers.token_pairs import numbered, scored_by_document
from retkd.students.scoring import own_scores


class BecaScorer:
    """Wraps a loaded :class:`Beca` and its tokeniser. Lengths are in tokens of one text, markers included."""

    def __init__(self, model: Beca, tokenizer: Any, max_length: int, query_max_length: int) -> None:
        positions = getattr(model.config, "max_position_embeddings", None) or max_length
        self.model = model
        self.tokenizer = tokenizer
        self.max_length = min(max_length, positions)
        self.query_max_length = min(query_max_length, positions)

    @classmethod
    def load(
        cls, path: Path, device: str, max_length: int, query_max_length: int, precision: Precision = "fp32"
    ) -> "BecaScorer":
        """Load a folder. Raises :class:`ModelError` when it holds no BECA."""
        require_head(path, Beca.HEAD_FILE, "BECA", "train one with a stage of kind teach and `head: beca`")
        model = Beca.load(path, dtype_of(precision)).to(device).eval()
        return cls(model, load_tokenizer(path, model), max_length, query_max_length)

    def tokenize(self, texts: Sequence[str], side: Side) -> dict[str, list[list[int]]]:
        """Ragged token columns, cut at the side's maximum length."""
        limit = self.query_max_length if side == "query" else self.max_length
        encoded = self.tokenizer(list(texts), truncation=True, max_length=limit, padding=False)
        return {name: encoded[name] for name in encoded if isinstance(encoded[name], list)}

    def features(self, columns: dict[str, list[list[int]]], side: Side) -> Features:
        """Padded tensors on the model's device."""
        return {n: t.to(self.model.device) for n, t in padded(columns, pad_values(self.tokenizer)).items()}

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, markers included, without a cut."""
        return [
            len(row) for row in self.tokenizer(list(texts), return_attention_mask=False, verbose=False)["input_ids"]
        ]

    def scored(self, batch: Batch, in_batch: bool) -> ScoredBatch:
        """Scores of the queries' own candidates; with ``in_batch`` of every query with every document, else of no other.

        Differentiable where gradients are on.
        """
        num_queries, num_documents = batch.positives.shape
        if in_batch:
            query_of = torch.arange(num_queries, device=batch.mask.device).repeat_interleave(num_documents)
            document_of = torch.arange(num_documents, device=batch.mask.device).repeat(num_queries)
            every = self._pairs(batch, query_of, document_of).view(num_queries, num_documents)
            return ScoredBatch(batch, own_scores(every, batch.candidates), every)
        query_of, document_of = batch.mask.nonzero()[:, 0], batch.candidates[batch.mask]
        scores = self._pairs(batch, query_of, document_of)
        own = torch.zeros(batch.mask.shape, device=scores.device).masked_scatter(batch.mask, scores)
        return ScoredBatch(batch, own, own.new_zeros((num_queries, 0)))

    def _pairs(self, batch: Batch, query_of: Tensor, document_of: Tensor) -> Tensor:
        queries, query_mask = self.model.states(batch.queries), batch.queries["attention_mask"].bool()
        found, order, start = [], [], 0
        for chunk in batch.documents:
            stop = start + len(chunk["input_ids"])
            here = ((document_of >= start) & (document_of < stop)).nonzero().flatten()
            rows, own = query_of[here], document_of[here] - start
            states, mask = self.model.states(chunk), chunk["attention_mask"].bool()
            found.append(self.model.match(queries[rows], query_mask[rows], states[own], mask[own]))
            order.append(here)
            start = stop
        return torch.cat(found)[torch.cat(order).argsort()]

    def score(self, pairs: Sequence[Pair], tokens_per_batch: int | None = None) -> np.ndarray:
        """Float32 raw scores ``[pair]``, in the order of ``pairs``."""
        return self.score_with_cuts(pairs, tokens_per_batch)[0]

    def score_with_cuts(
        self, pairs: Sequence[Pair], tokens_per_batch: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(float32 raw scores ``[pair]``, whether a text of the pair was cut). Raises :class:`ModelError` on NaN."""
        queries, query_of = numbered([query for query, _ in pairs])
        documents, document_of = numbered([document for _, document in pairs])
        budget = tokens_per_batch or default_tokens_per_batch(self.model.device.type)
        columns = self.tokenize(documents, "document")
        lengths = np.array([len(row) for row in columns["input_ids"]])
        with torch.inference_mode():
            states = self._states(self.tokenize(queries, "query"), "query", budget)
            scores = scored_by_document(
                query_of,
                document_of,
                states,
                lengths,
                lambda rows: self._states(
                    {n: [c[row] for row in rows] for n, c in columns.items()}, "document", budget
                ),
                self.model.match,
                budget,
            )
        require_finite(scores, pairs)
        return scores, self._cut(queries, "query")[query_of] | self._cut(documents, "document")[document_of]

    def _states(self, columns: dict[str, list[list[int]]], side: Side, budget: int) -> list[Tensor]:
        """``[token, dim]`` of each text, without padding."""
        lengths = [len(row) for row in columns["input_ids"]]
        found: dict[int, Tensor] = {}
        for batch in token_batches(lengths, budget):
            features = self.features({name: [column[row] for row in batch] for name, column in columns.items()}, side)
            for row, states in zip(batch.tolist(), self.model.states(features), strict=True):
                found[row] = states[: lengths[row]].clone()
        return [found[row] for row in range(len(lengths))]

    def _cut(self, texts: Sequence[str], side: Side) -> np.ndarray:
        limit = self.query_max_length if side == "query" else self.max_length
        return np.array([count > limit for count in self.counts(texts)], dtype=bool)
