"""The evolutionary search against brute force, on spaces small enough for it."""

from collections.abc import Iterator
from itertools import product
from random import Random

import pytest
from pydantic import ValidationError

from retkd.students.search import Evolution, Genome, Space, evolve

NUM_LAYERS, WIDTHS = 10, (None, 320, 256, 192)


def affordable(genome: Genome) -> bool:
    """At most 1,200 hidden dimensions in all layers together, of a base that is 384 wide."""
    return len(genome.layers) * (genome.width or 384) <= 1200


SPACE = Space(NUM_LAYERS, WIDTHS, affordable)


def every(space: Space) -> Iterator[Genome]:
    for chosen, width in product(product((0, 1), repeat=space.num_layers), space.widths):
        genome = Genome(tuple(n for n, taken in enumerate(chosen) if taken), width)
        if genome.layers and space.keep <= set(genome.layers) and space.fits(genome):
            yield genome


class Likeness:
    """A layer has a worth of its own and one with each neighbour that is kept; width counts. Trials are counted."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        self.alone = [random.random() for _ in range(NUM_LAYERS)]
        self.pairs = [[random.uniform(-0.5, 0.5) for _ in range(NUM_LAYERS)] for _ in range(NUM_LAYERS)]
        self.tried: list[Genome] = []

    def __call__(self, genome: Genome) -> float:
        self.tried.append(genome)
        neighbours = zip(genome.layers, genome.layers[1:], strict=False)
        return (
            sum(self.alone[n] for n in genome.layers)
            + sum(self.pairs[a][b] for a, b in neighbours)
            + (genome.width or 384) / 384
        )


def test_it_finds_what_brute_force_finds_with_a_tenth_of_the_trials_where_draws_do_not() -> None:
    fitting, found, drawn = list(every(SPACE)), 0, 0
    for seed in range(20):
        likeness = Likeness(seed)
        best = max(map(likeness, fitting))
        result = evolve(SPACE, likeness, Evolution(), seed)
        found += max(result.scores.values()) == best
        draws = Evolution(population=120, generations=0)
        drawn += max(evolve(SPACE, likeness, draws, seed).scores.values()) == best
        assert len(result.scores) <= 120 < len(fitting) / 10
    assert found >= 13
    assert drawn <= 3


def test_nothing_is_tried_twice_or_beyond_the_budget_and_scores_are_those_told() -> None:
    likeness = Likeness(3)
    result = evolve(SPACE, likeness, Evolution(), seed=3)
    assert likeness.tried == list(result.scores)
    assert len(set(likeness.tried)) == len(likeness.tried) == 8 * 15
    assert all(map(affordable, likeness.tried))
    assert result.scores == {genome: Likeness(3)(genome) for genome in result.scores}
    assert result.best == sorted(result.best)
    assert len(result.best) == 15
    assert result.best[-1] == max(result.scores.values())


def test_the_seed_decides() -> None:
    one, again, other = (evolve(SPACE, Likeness(0), Evolution(), seed) for seed in (1, 1, 2))
    assert list(one.scores.items()) == list(again.scores.items())
    assert list(one.scores) != list(other.scores)


def test_a_space_that_is_small_is_tried_whole() -> None:
    space = Space(4, (None, 192), lambda genome: len(genome.layers) <= 2)
    result = evolve(space, lambda genome: float(len(genome.layers)), Evolution(population=8, generations=50), seed=0)
    assert set(result.scores) == set(every(space))
    assert len(result.scores) == 20
    assert len(result.best) < 51


def test_layers_that_are_to_be_kept_are_in_every_student() -> None:
    space = Space(6, (None,), lambda genome: len(genome.layers) <= 3, frozenset({0, 5}))
    result = evolve(space, lambda genome: -float(sum(genome.layers)), Evolution(), seed=0)
    assert set(result.scores) == set(every(space))
    assert max(result.scores, key=result.scores.__getitem__) == ((0, 5), None)


def test_where_nothing_fits_nothing_is_tried() -> None:
    for keep in (frozenset[int](), frozenset({1})):
        result = evolve(Space(3, (None,), lambda _: False, keep), lambda _: 0.0, Evolution(), seed=0)
        assert result.scores == {}
        assert result.best == [float("-inf")]


def test_a_child_has_its_genes_from_its_parents() -> None:
    random, one, other = Random(0), Genome((0, 1, 2), None), Genome((0, 3), 192)
    children = {SPACE.crossed(one, other, random) for _ in range(200)}
    assert {layer for child in children for layer in child.layers} == {0, 1, 2, 3}
    assert all(0 in child.layers for child in children)
    assert {child.width for child in children} == {None, 192}
    assert SPACE.mutated(other, 0.0, random) == other
    changed = [SPACE.mutated(other, 0.5, random) for _ in range(200)]
    assert {child.width for child in changed if child} == set(WIDTHS)
    assert {layer for child in changed if child for layer in child.layers} == set(range(NUM_LAYERS))
    assert 60 < sum(child == other for child in changed) < 140


@pytest.mark.parametrize("told", [{"population": 1}, {"mutation": 1.5}, {"crossover": -0.1}, {"generations": -1}])
def test_settings_that_make_no_sense_are_refused(told: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Evolution(**told)
