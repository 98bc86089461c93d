"""Batches by padded tokens: sort by length once, then cut where the next text would overflow the budget."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

TOKENS_PER_THREAD, FEWEST_TOKENS, TOKENS_ON_AN_ACCELERATOR = 512, 1024, 16_384
PASS_COST, PASS_COST_ON_AN_ACCELERATOR = 64, 4096


def default_tokens_per_batch(device_type: str) -> int:
    """Padded tokens of a batch without gradient: on a CPU as many as its caches hold, elsewhere enough to fill it.

    Measured on CPUs by ``benchmarks/run.py --only budget``: more tokens are slower there, not faster.
    """
    import torch

    if device_type != "cpu":
        return TOKENS_ON_AN_ACCELERATOR
    return max(FEWEST_TOKENS, TOKENS_PER_THREAD * torch.get_num_threads())


def pass_limits(device_type: str) -> tuple[int, int | None]:
    """(cost, most): what one more forward and backward pass costs, in tokens; how many padded tokens it should hold.

    The cost is kernel launches and one more sum into each gradient. On a CPU a pass is kept as small as one without
    gradient: measured on 2 cores, a step of 128 texts of 64 tokens takes a tenth less in passes of 1,024 tokens.
    """
    if device_type == "cpu":
        return PASS_COST, default_tokens_per_batch(device_type)
    return PASS_COST_ON_AN_ACCELERATOR, None


def token_batches(
    lengths: Sequence[int] | np.ndarray, tokens_per_batch: int, order: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Index arrays that cover every text once, longest first, each batch at most ``tokens_per_batch`` padded tokens.

    ``lengths`` is in tokens. A text longer than the budget gets a batch of its own. Longest first means that a run
    that does not fit into memory fails at once, not after an hour. ``order`` replaces the stable sort.

    >>> [b.tolist() for b in token_batches([3, 9, 4, 8], 16)]
    [[1], [3, 2], [0]]
    """
    sizes = np.asarray(lengths)
    indices = np.argsort(-sizes, kind="stable") if order is None else order
    start = 0
    while start < len(indices):
        longest = max(int(sizes[indices[start]]), 1)
        stop = min(start + max(tokens_per_batch // longest, 1), len(indices))
        yield indices[start:stop]
        start = stop


def places(order: np.ndarray) -> np.ndarray:
    """Where each item stands after they were put in ``order``.

    >>> places(np.array([2, 0, 1])).tolist()
    [1, 2, 0]
    """
    found = np.empty(len(order), dtype=np.int64)
    found[order] = np.arange(len(order))
    return found


def padded(columns: Mapping[str, Sequence[Sequence[int]]], pad_values: Mapping[str, int]) -> dict[str, Any]:
    """Right-padded int64 tensors ``[text, token]``, one per column of ragged token lists."""
    import torch

    width = max(len(row) for row in next(iter(columns.values())))
    tensors = {}
    for name, rows in columns.items():
        block = np.full((len(rows), width), pad_values.get(name, 0), dtype=np.int64)
        for position, row in enumerate(rows):
            block[position, : len(row)] = row
        tensors[name] = torch.from_numpy(block)
    return tensors


def pad_values(tokenizer: Any) -> dict[str, int]:
    """What each column of a tokeniser's output is padded with."""
    return {
        "input_ids": tokenizer.pad_token_id or 0,
        "attention_mask": 0,
        "token_type_ids": tokenizer.pad_token_type_id,
    }


def settle(tokenizer: Any, max_length: int | None) -> None:
    """Leave a fast tokeniser cutting at ``max_length`` and not padding.

    Each call leaves its own cut and padding in it, and ``save_pretrained`` writes them: so a folder would tell what was
    tokenised last, and a resumed training, which tokenises less, would save other bytes.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        backend.no_padding()
        if max_length is None:
            backend.no_truncation()
        else:
            backend.enable_truncation(max_length)
