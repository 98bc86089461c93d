"""An evolutionary search for the best student of a space, as DisWOT makes it (Dong et al. 2023). Scores come from outside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from pydantic import Field

from retkd.parts import Part

ATTEMPTS = 100
"""Children that were tried before, or do not fit, until one is drawn at random; and draws until the space counts as tried."""


class Genome(NamedTuple):
    """A student: which layers of its base it keeps, rising, and its hidden dimensions; None for those of the base."""

    layers: tuple[int, ...]
    width: int | None


@dataclass(frozen=True)
class Space:
    """Subsets of the layers 0 to ``num_layers`` - 1 that hold all of ``keep``, at one of ``widths``: those that ``fits`` takes.

    ``fits`` is to take a genome wherever it takes the same one with a layer more.
    """

    num_layers: int
    widths: Sequence[int | None]
    fits: Callable[[Genome], bool]
    keep: frozenset[int] = frozenset()

    def drawn(self, random: Random) -> Genome | None:
        """One at random: each number of layers is as likely, but for what the budget cuts."""
        free = [layer for layer in range(self.num_layers) if layer not in self.keep]
        layers = random.sample(free, random.randint(0 if self.keep else 1, len(free)))
        return self.fitted({*layers}, random.choice(self.widths), random)

    def crossed(self, one: Genome, other: Genome, random: Random) -> Genome:
        """Each layer, in or out, and the width from one of the two; it may not fit."""
        layers = [layer for layer in range(self.num_layers) if layer in random.choice((one, other)).layers]
        return Genome(tuple(layers), random.choice((one, other)).width)

    def mutated(self, genome: Genome, rate: float, random: Random) -> Genome | None:
        """With a layer put in or out, or another width: one change, as long as a draw stays below ``rate`` one more."""
        layers, width = {*genome.layers}, genome.width
        while random.random() < rate:
            gene = random.randrange(self.num_layers + (len(self.widths) > 1))
            if gene < self.num_layers:
                layers ^= {gene}
            else:
                width = random.choice([each for each in self.widths if each != width])
        return self.fitted(layers, width, random)

    def fitted(self, layers: set[int], width: int | None, random: Random) -> Genome | None:
        """Without as many layers, drawn one by one, as are too much for the budget; None where nothing is left."""
        free = sorted(layers - self.keep)
        while free or self.keep:
            genome = Genome(tuple(sorted({*free, *self.keep})), width)
            if self.fits(genome):
                return genome
            if not free:
                return None
            free.remove(random.choice(free))
        return None


class Evolution(Part):
    """How long is searched, and how far afield: at most ``population`` x (1 + ``generations``) students are tried."""

    population: int = Field(default=8, ge=2, description="students of a generation, and best ones that are parents")
    generations: int = Field(default=14, ge=0, description="after the first one, which is drawn at random")
    crossover: float = Field(default=0.5, ge=0.0, le=1.0, description="share of children that have two parents")
    mutation: float = Field(
        default=0.2, ge=0.0, lt=1.0, description="chance of one more change, of a layer or the width"
    )


@dataclass(frozen=True)
class Found:
    """Score of everything that was tried, in the order of the trials; the best score after each generation."""

    scores: dict[Genome, float]
    best: list[float]


def evolve(space: Space, fitness: Callable[[Genome], float], settings: Evolution, seed: int) -> Found:
    """Try students, the best of which have children; none is tried twice. It ends early where nothing new is found."""
    random = Random(seed)
    found = Found({}, [])
    for _ in range(1 + settings.generations):
        parents = sorted(found.scores, key=lambda genome: -found.scores[genome])[: settings.population]
        for _ in range(settings.population):
            child = _new(space, parents, found.scores, settings, random)
            if child is None:
                break
            found.scores[child] = fitness(child)
        found.best.append(max(found.scores.values(), default=float("-inf")))
        if child is None:
            break
    return found


def _new(
    space: Space, parents: list[Genome], scores: dict[Genome, float], settings: Evolution, random: Random
) -> Genome | None:
    """A child that was not tried yet, or else one at random; None where neither is found."""
    for attempt in range(2 * ATTEMPTS):
        bred = parents and attempt < ATTEMPTS
        child = _child(space, parents, scores, settings, random) if bred else space.drawn(random)
        if child is not None and child not in scores:
            return child
    return None


def _child(
    space: Space, parents: list[Genome], scores: dict[Genome, float], settings: Evolution, random: Random
) -> Genome | None:
    """Of two parents, each the better one of two, or of one alone."""
    one, other = (max(random.choices(parents, k=2), key=scores.__getitem__) for _ in range(2))
    genome = space.crossed(one, other, random) if random.random() < settings.crossover else one
    return space.mutated(genome, settings.mutation, random)
