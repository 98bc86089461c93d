"""Exact nearest neighbours block by block: never the whole corpus, never corpus x queries, in memory."""

import mmap
from collections.abc import Iterator

import numpy as np


def blocks(num_rows: int, dim: int, num_queries: int, memory_mib: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of corpus blocks such that a block as it lies in the file, in float32, and its scores fit."""
    bytes_per_row = 4 * (2 * dim + 2 * min(num_queries, 1024))
    rows = max(int(memory_mib * 2**20 / bytes_per_row), 1)
    for start in range(0, num_rows, rows):
        yield start, min(start + rows, num_rows)


def exact_topk(
    queries: np.ndarray, vectors: np.ndarray, k: int, *, memory_mib: int = 512, device: str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Scores ``[query, k]`` (float32, descending) and rows ``[query, k]`` (int64) by inner product.

    ``vectors`` may be a memory map; one block of it is read at a time and the lists are merged, so the peak is one
    block, its scores and the top k, whatever the number of rows. Equal scores are ordered by row number. ``k`` is cut
    at the number of vectors.
    """
    import torch

    k = min(k, len(vectors))
    all_scores = np.empty((len(queries), k), dtype=np.float32)
    all_rows = np.empty((len(queries), k), dtype=np.int64)
    room = torch.empty(
        0, device=device
    )  # for the scores of all blocks: freed and asked for anew, one might lie beside another
    for first in range(0, len(queries), 1024):
        chunk = torch.from_numpy(np.array(queries[first : first + 1024], dtype=np.float32)).to(device)
        best = (
            torch.empty((len(chunk), 0), device=device),
            torch.empty((len(chunk), 0), dtype=torch.int64, device=device),
        )
        for start, stop in blocks(len(vectors), vectors.shape[1], len(chunk), memory_mib):
            block = torch.from_numpy(np.array(vectors[start:stop], dtype=np.float32)).to(device)
            if room.numel() < len(chunk) * len(block):
                room = torch.empty(len(chunk) * len(block), device=device)
            scores = torch.mm(chunk, block.T, out=room[: len(chunk) * len(block)].view(len(chunk), len(block)))
            scores, rows = stable_topk(scores, min(k, stop - start))
            best = merged(best, (scores, rows + start), k)
            del block, scores, rows
            leave_pages(vectors)
        all_scores[first : first + len(chunk)] = best[0].cpu().numpy()
        all_rows[first : first + len(chunk)] = best[1].cpu().numpy()
    return all_scores, all_rows


def leave_pages(vectors: np.ndarray) -> None:
    """Stop counting what was read of a read-only memory map as this process' memory; the system may keep it cached."""
    if not isinstance(vectors, np.memmap) or vectors.mode != "r" or not hasattr(mmap, "MADV_DONTNEED"):
        return
    holder: object = vectors
    while isinstance(holder, np.ndarray):
        holder = holder.base
    if isinstance(holder, mmap.mmap):
        holder.madvise(mmap.MADV_DONTNEED)


def stable_topk(scores, k: int):  # type: ignore[no-untyped-def]
    """``torch.topk`` along the last axis with equal scores ordered by column, including at the cut.

    Columns at minus infinity, which stands for what was not found, are in no order.
    """
    import torch

    top, columns = torch.topk(scores, min(k + 1, scores.shape[1]), dim=1)
    tied = (top[:, k - 1] == top[:, k]) & torch.isfinite(top[:, k]) if scores.shape[1] > k else torch.zeros(0)
    top, columns = top[:, :k].clone(), columns[:, :k].clone()
    for row in torch.nonzero(tied).flatten().tolist():
        columns[row] = torch.argsort(scores[row], descending=True, stable=True)[:k]
        top[row] = scores[row][columns[row]]
    columns, order = torch.sort(columns, dim=1)
    top = torch.gather(top, 1, order)
    top, order = torch.sort(top, dim=1, descending=True, stable=True)
    return top, torch.gather(columns, 1, order)


def merged(best, new, k: int):  # type: ignore[no-untyped-def]
    """The best ``k`` of two sorted lists of (scores, rows); earlier rows win ties."""
    import torch

    scores = torch.cat([best[0], new[0]], dim=1)
    rows = torch.cat([best[1], new[1]], dim=1)
    top, order = torch.sort(scores, dim=1, descending=True, stable=True)
    return top[:, :k], torch.gather(rows, 1, order)[:, :k]
