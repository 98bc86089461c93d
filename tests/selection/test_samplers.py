import numpy as np
import pytest
from pydantic import ValidationError

from retkd.selection.samplers import Mixed, Random, Sampler, TopK, generator_for

SAMPLERS: list[Sampler] = [
    TopK(num_negatives=4),
    Random(num_negatives=4),
    Random(num_negatives=4, pool=6),
    Mixed(num_negatives=4, num_top=2),
]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.kind)
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 40])
def test_rising_positions_without_repetition_as_many_as_asked(sampler: Sampler, count: int) -> None:
    found = sampler.sample(count, generator_for(0, "q")).tolist()
    assert len(found) == min(count, 4)
    assert found == sorted(set(found))
    assert all(0 <= position < count for position in found)


def test_top_k_takes_the_hardest_after_those_it_skips() -> None:
    assert TopK(num_negatives=3).sample(10, generator_for(0, "q")).tolist() == [0, 1, 2]
    assert TopK(num_negatives=3, skip=2).sample(10, generator_for(0, "q")).tolist() == [2, 3, 4]
    assert TopK(num_negatives=3, skip=9).sample(10, generator_for(0, "q")).tolist() == [9]
    assert TopK(num_negatives=3, skip=20).sample(10, generator_for(0, "q")).tolist() == []


def test_mixed_always_has_the_hardest() -> None:
    samples = [Mixed(num_negatives=4, num_top=2).sample(30, generator_for(0, str(q))).tolist() for q in range(50)]
    assert all(sample[:2] == [0, 1] for sample in samples)
    assert len({tuple(sample[2:]) for sample in samples}) > 30


def test_random_is_uniform() -> None:
    """2,000 draws of 3 among 10: each position 600 times, within four standard deviations (20.5)."""
    counts = np.zeros(10)
    for query in range(2000):
        counts[Random(num_negatives=3).sample(10, generator_for(7, str(query)))] += 1
    assert np.abs(counts - 600).max() < 4 * np.sqrt(2000 * 0.3 * 0.7)


def test_random_from_a_pool_takes_every_position_of_it_and_none_beyond() -> None:
    sampler = Random(num_negatives=3, pool=8)
    drawn = [sampler.sample(100, generator_for(0, str(query))).tolist() for query in range(100)]
    assert {position for draw in drawn for position in draw} == set(range(8))
    assert all(len(draw) == 3 for draw in drawn)
    assert sampler.sample(2, generator_for(0, "q")).tolist() == [0, 1]


def test_a_pool_smaller_than_the_negatives_is_refused() -> None:
    with pytest.raises(ValidationError, match="pool 3 is less than num_negatives 4"):
        Random(num_negatives=4, pool=3)


def test_a_draw_depends_on_the_seed_and_the_query_and_nothing_else() -> None:
    def draw(seed: int, query_id: str) -> list[int]:
        return Random(num_negatives=5).sample(100, generator_for(seed, query_id)).tolist()

    assert draw(1, "q1") == draw(1, "q1")
    assert len({tuple(draw(seed, query_id)) for seed in range(3) for query_id in ("q1", "q2", "q3")}) == 9


def test_more_top_negatives_than_negatives_are_refused() -> None:
    with pytest.raises(ValidationError, match="num_top 5 is more than num_negatives 4"):
        Mixed(num_negatives=4, num_top=5)
