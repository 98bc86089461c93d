"""Pairs scored from token vectors: each text is encoded once, then vectors of a query meet those of its documents."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from retkd.batching import token_batches

Match = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(query ``[pair, token, dim]``, its mask, document, its mask) -> scores ``[pair]``."""


def padded_vectors(
    texts: Sequence[Float[Tensor, "token dim"]],
) -> tuple[Float[Tensor, "text token dim"], Bool[Tensor, "text token"]]:
    """Zeros after the last vector of each text, and a mask that is True before them."""
    vectors = torch.nn.utils.rnn.pad_sequence(list(texts), batch_first=True)
    lengths = torch.tensor([len(text) for text in texts], device=vectors.device)
    return vectors, torch.arange(vectors.shape[1], device=vectors.device) < lengths.unsqueeze(1)


def scored_by_document(
    query_of: np.ndarray,
    document_of: np.ndarray,
    queries: Sequence[Float[Tensor, "token dim"]],
    document_lengths: np.ndarray,
    encode: Callable[[np.ndarray], Sequence[Float[Tensor, "token dim"]]],
    match: Match,
    tokens_per_batch: int,
) -> np.ndarray:
    """Float32 scores of the pairs (``query_of[i]``, ``document_of[i]``).

    ``encode`` gives the vectors of the documents in an index array; each document is asked for once and forgotten when
    its pairs are scored, so memory holds the queries and one batch.
    """
    scores = np.empty(len(query_of), dtype=np.float32)
    for batch in token_batches(document_lengths, tokens_per_batch):
        documents = dict(zip(batch.tolist(), encode(batch), strict=True))
        rows = np.flatnonzero(np.isin(document_of, batch))
        sizes = [len(queries[query_of[row]]) + len(documents[document_of[row]]) for row in rows]
        for part in token_batches(sizes, tokens_per_batch):
            chosen = rows[part]
            left = padded_vectors([queries[row] for row in query_of[chosen]])
            right = padded_vectors([documents[row] for row in document_of[chosen]])
            scores[chosen] = match(*left, *right).float().cpu().numpy()
    return scores


def numbered(texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Each text once, in order of appearance, and which of them each position holds.

    >>> numbered(["b", "a", "b"])
    (['b', 'a'], array([0, 1, 0]))
    """
    distinct = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return list(distinct), np.array([distinct[text] for text in texts], dtype=np.int64)
