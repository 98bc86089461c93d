"""Exact search block by block against a full sort in float64."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from retkd.topk import blocks, exact_topk, merged, stable_topk


def brute(queries: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    scores = queries.astype(np.float64) @ vectors.astype(np.float64).T
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, rows, axis=1), rows


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("memory_bytes", [1, 900, 5000, 2**30])
def test_it_equals_brute_force_with_ties_across_blocks(seed: int, memory_bytes: int) -> None:
    """Small whole numbers: inner products are exact in float32, and most scores are tied."""
    generator = np.random.default_rng(seed)
    queries = generator.integers(-2, 3, (7, 4)).astype(np.float32)
    vectors = generator.integers(-2, 3, (60, 4)).astype(np.float32)
    for k in (1, 5, 60):
        scores, rows = exact_topk(queries, vectors, k, memory_mib=memory_bytes / 2**20)  # type: ignore[arg-type]
        expected_scores, expected_rows = brute(queries, vectors, k)
        assert np.array_equal(rows, expected_rows)
        assert np.array_equal(scores, expected_scores)
        assert (scores.dtype, rows.dtype) == (np.float32, np.int64)


def test_real_numbers_and_more_queries_than_a_chunk() -> None:
    generator = np.random.default_rng(0)
    queries = generator.standard_normal((1030, 8)).astype(np.float32)
    vectors = generator.standard_normal((50, 8)).astype(np.float32)
    scores, rows = exact_topk(queries, vectors, 3)
    expected_scores, expected_rows = brute(queries, vectors, 3)
    assert np.array_equal(rows, expected_rows)
    assert np.allclose(scores, expected_scores, atol=1e-5)


def test_k_is_cut_at_the_number_of_vectors_and_no_queries_are_no_error() -> None:
    vectors = np.eye(3, dtype=np.float32)
    scores, rows = exact_topk(vectors[:2], vectors, 10)
    assert scores.shape == rows.shape == (2, 3)
    assert exact_topk(np.zeros((0, 3), np.float32), vectors, 2)[1].shape == (0, 2)


def test_a_memory_map_is_read_a_block_at_a_time(tmp_path) -> None:  # type: ignore[no-untyped-def]
    np.save(tmp_path / "v.npy", np.random.default_rng(1).standard_normal((100, 8)).astype(np.float32))
    vectors = np.load(tmp_path / "v.npy", mmap_mode="r")
    assert np.array_equal(exact_topk(vectors[:4], vectors, 5)[1], brute(vectors[:4], vectors, 5)[1])


@pytest.mark.parametrize(("num_rows", "dim", "num_queries"), [(1000, 16, 3), (100_000, 384, 5000), (7, 2, 1)])
@pytest.mark.parametrize("memory_mib", [1, 3])
def test_blocks_cover_the_rows_and_stay_within_the_memory(
    num_rows: int, dim: int, num_queries: int, memory_mib: int
) -> None:
    """A block, its scores for one chunk of 1,024 queries and the copy that a sort makes of them, in float32."""
    found = list(blocks(num_rows, dim, num_queries, memory_mib))
    assert [start for start, _ in found] == [0, *(stop for _, stop in found[:-1])]
    assert found[-1][1] == num_rows
    largest = max(stop - start for start, stop in found)
    assert 4 * largest * (dim + 2 * min(num_queries, 1024)) <= memory_mib * 2**20
    assert largest > 1


def test_a_row_that_does_not_fit_is_still_a_block() -> None:
    assert list(blocks(2, 10**7, 1, 1)) == [(0, 1), (1, 2)]


@pytest.mark.parametrize("seed", range(4))
def test_stable_topk_orders_ties_by_column_also_at_the_cut(seed: int) -> None:
    scores = torch.randint(0, 4, (9, 40), generator=torch.Generator().manual_seed(seed)).float()
    for k in (1, 6, 39, 40):
        top, columns = stable_topk(scores, k)
        expected = torch.argsort(scores, dim=1, descending=True, stable=True)[:, :k]
        assert torch.equal(columns, expected)
        assert torch.equal(top, scores.gather(1, expected))


def test_columns_at_minus_infinity_are_no_tie() -> None:
    """They stand for what was not found: their order costs nothing."""
    scores = torch.full((2, 9), -torch.inf)
    scores[0, 5], scores[1, 2:4] = 1.0, 2.0
    top, columns = stable_topk(scores, 4)
    assert top[:, :2].tolist() == [[1.0, -torch.inf], [2.0, 2.0]]
    assert (columns[0, 0].item(), columns[1, :2].tolist()) == (5, [2, 3])


def test_merged_lets_earlier_rows_win_ties() -> None:
    best = (torch.tensor([[3.0, 1.0]]), torch.tensor([[4, 9]]))
    new = (torch.tensor([[3.0, 2.0]]), torch.tensor([[10, 11]]))
    scores, rows = merged(best, new, 3)
    assert (scores.tolist(), rows.tolist()) == ([[3.0, 3.0, 2.0]], [[4, 10, 11]])


BOUNDED = """
import sys
import numpy as np
import torch
from retkd.resources import measured
from retkd.topk import exact_topk

torch.set_num_threads(1)
vectors = np.load(sys.argv[1], mmap_mode="r")
queries = np.random.default_rng(1).standard_normal((1500, vectors.shape[1])).astype(np.float32)
exact_topk(queries[:4], vectors[:1000], 10)
with measured() as before:
    pass
with measured() as cost:
    exact_topk(queries, vectors, 10, memory_mib=64)
print(cost.peak_memory_mib - before.peak_memory_mib)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of a block is known on Linux alone")
def test_the_peak_is_one_block_whatever_the_size_of_the_corpus(tmp_path: Path) -> None:
    """200 MiB of vectors, 64 MiB of working memory: what was read of the map does not count, nor is it kept."""
    block = np.random.default_rng(0).standard_normal((8192, 256)).astype(np.float32)
    vectors = np.lib.format.open_memmap(tmp_path / "v.npy", mode="w+", dtype=np.float32, shape=(25 * 8192, 256))
    for number in range(25):
        vectors[number * 8192 : (number + 1) * 8192] = block + number
    vectors.flush()
    told = subprocess.run(
        [sys.executable, "-c", BOUNDED, tmp_path / "v.npy"], capture_output=True, text=True, check=True
    )
    assert float(told.stdout) < 64 + 16
