"""The order of equal scores, and that two libraries give the same lists."""

import numpy as np
import pytest

from retkd.indexing.base import Site
from retkd.indexing.exact import ExactIndex
from retkd.indexing.faiss_index import FaissIndex
from retkd.indexing.ties import exact_rows, in_order


def unit_vectors(num: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((num, 24)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def vectors_with_duplicates() -> np.ndarray:
    """300 vectors: 0 to 99 stand twice, far apart, and number 7 fifty times more."""
    vectors = unit_vectors(300, seed=0)
    vectors[100:200] = vectors[:100]
    vectors[250:300] = vectors[7]
    return vectors


@pytest.mark.parametrize("k", [1, 5, 40, 300, 1000])
@pytest.mark.parametrize("num_queries", [1, 33])
def test_flat_and_torch_give_the_same_lists(tmp_path, k, num_queries):
    vectors = vectors_with_duplicates()
    queries = np.concatenate([vectors[7:8], unit_vectors(num_queries - 1, seed=1)])
    found = {}
    for kind in (FaissIndex(factory="Flat"), ExactIndex()):
        resolved = kind.resolved(*vectors.shape)
        kind.build(resolved, vectors, tmp_path, Site())
        found[kind.kind] = kind.open(resolved, vectors, tmp_path, Site())(queries, k)
    np.testing.assert_array_equal(found["faiss"][1], found["torch"][1])
    np.testing.assert_array_equal(found["faiss"][0], found["torch"][0])
    exact = queries.astype(np.float64) @ vectors.astype(np.float64).T
    expected = np.argsort(-exact.astype(np.float32), axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(found["torch"][1], expected)


def test_ties_that_cross_the_cut_are_all_looked_at():
    vectors = np.tile(np.eye(4, dtype=np.float32)[:1], (500, 1))

    def backwards(queries, k):
        rows = np.tile(np.arange(499, 499 - k, -1), (len(queries), 1))
        return np.ones(rows.shape, dtype=np.float32), rows

    scores, rows = exact_rows(backwards, vectors[:1], vectors, 3)
    assert rows.tolist() == [[0, 1, 2]]
    assert scores.tolist() == [[1.0, 1.0, 1.0]]


def test_an_approximate_list_is_ordered_and_ends_in_what_was_not_found():
    scores = np.array([[3.0, 3.0, 5.0, -7.0]], dtype=np.float32)
    rows = np.array([[9, 2, 4, -1]])
    ordered, found = in_order(scores, rows)
    assert found.tolist() == [[4, 2, 9, -1]]
    assert ordered.tolist() == [[5.0, 3.0, 3.0, -np.inf]]
