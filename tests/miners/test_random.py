from collections import Counter

import numpy as np
import pytest

from retkd.collections.base import Collection, Query
from retkd.miners.random import RandomMiner, first_of_permutation
from tests.conftest import MakeInputs

QUERIES = [Query(f"q{number}", "") for number in range(400)]


def drawn(inputs: MakeInputs, queries: list[Query] = QUERIES, **settings: int) -> dict[str, list[str]]:
    ready, miner = inputs(), RandomMiner(**settings)
    rankings = miner.mine(queries, ready, miner.prepare(ready))
    return {query.query_id: ranking.doc_ids for query, ranking in zip(queries, rankings, strict=True)}


def test_a_draw_depends_on_the_query_and_the_seed_alone(inputs: MakeInputs) -> None:
    found = drawn(inputs, depth=8)
    assert drawn(inputs, QUERIES[7:3:-1], depth=8) == {q.query_id: found[q.query_id] for q in QUERIES[7:3:-1]}
    assert all(ids[:3] == found[query_id][:3] for query_id, ids in drawn(inputs, depth=3).items())
    other = drawn(inputs, depth=8, seed=1)
    assert sum(other[query_id] == ids for query_id, ids in found.items()) == 0


def test_it_is_uniform_and_without_repeats(inputs: MakeInputs, collection: Collection) -> None:
    """400 draws of 15 of 60 documents: each is expected 100 times, deviation 8.7; also at the first place."""
    found = drawn(inputs, depth=15)
    assert all(len(set(ids)) == 15 for ids in found.values())
    counts = Counter(doc_id for ids in found.values() for doc_id in ids)
    assert set(counts) == {document.doc_id for document in collection.documents()}
    assert max(abs(count - 100) for count in counts.values()) < 40
    assert len({ids[0] for ids in found.values()}) > 50


def test_a_depth_beyond_the_collection_gives_every_document_once(inputs: MakeInputs) -> None:
    assert len(set(drawn(inputs, QUERIES[:1], depth=1000)["q0"])) == 60


@pytest.mark.parametrize("size", [1, 2, 5])
def test_every_permutation_is_as_likely(size: int) -> None:
    generator, times = np.random.default_rng(0), 6000
    counts = Counter(tuple(first_of_permutation(generator, size, size)) for _ in range(times))
    assert len(counts) == int(np.prod(range(1, size + 1)))
    assert max(counts.values()) < 2 * times / len(counts)
