"""EliteEvolution: mutants and crossovers of the best, within the limits that can be computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, final

import numpy as np

from nasplug import (
    NasplugError,
    NonNegativeInt,
    PositiveInt,
    Problem,
    Range,
    SearchSpace,
    Strategy,
    UnitInterval,
)
from nasplug.contracts.types import Architecture, IntArray, Record, Trial
from nasplug.toolkit.searching.ask_tell import AskTell, Search
from nasplug_strategies.candidate_scoring import best_of_groups, draws
from nasplug_strategies.evolution.operators import Variation
from nasplug_strategies.evolution.within_limits import sample_within_limits, within_limits
from nasplug_strategies.nondominated_order import nondominated_order
from nasplug_strategies.population import SampleSize, population_for
from nasplug_strategies.warm_start import warm_start_architectures

POPULATION = 125
"""HAT's. Of the parts that follow from it, 1/5 are parents, 2/5 mutants and 2/5 crossovers."""

GENERATIONS = 5
"""A population that is chosen from the budget leaves room for so many generations."""

TRIES = 20
"""Batches of children that are bred until there are enough new ones within the limits."""


@final
class EliteEvolution(Strategy):
    """The evolutionary search of once-for-all and HAT: the best of all seen are parents; a generation
    is some mutants of one of them and some crossovers of two.

    Only architectures that keep the limits are proposed, as far as limits are on computed metrics;
    those that break a limit on a measured one rank after those that keep all. Other than in the
    originals no architecture is measured twice, and where parents differ in which variables take part,
    one without a value of its own takes the other's, or a random one. With several objectives the
    better is the one of lower non-dominated rank, then of larger crowding distance.

    Source: Wang et al., "HAT: Hardware-Aware Transformers for Efficient Natural Language Processing",
    ACL 2020, whose sizes are the defaults (30 iterations are 125 + 29 * 100 = 3,025 measurements); Cai
    et al., "Once-for-All", ICLR 2020, has population=100 parents=25 mutants=50 crossovers=50
    mutation_rate=0.1 over 500 iterations.

    Args:
        population: random ones that are measured first. null: budget // 5, at least 4 and at most
            `POPULATION`.
        parents: how many of all seen have children; null: a fifth of the population, at least 2.
        mutants: children of one parent in a generation; null: two fifths of the population.
        crossovers: children of two parents, which give each gene with equal chance; null: as mutants.
        mutation_rate: probability, per variable, that a mutant draws one of its options, the parent's
            included.
        warm_start: a run's folder, whose front is measured first, or one of its CSV files.
    """

    def __init__(
        self,
        population: PositiveInt | None = None,
        parents: Annotated[int, Range(ge=2)] | None = None,
        mutants: NonNegativeInt | None = None,
        crossovers: NonNegativeInt | None = None,
        mutation_rate: UnitInterval = 0.3,
        warm_start: str | None = None,
    ) -> None:
        for name, value, least in (
            ("population", population, 1),
            ("parents", parents, 2),
            ("mutants", mutants, 0),
            ("crossovers", crossovers, 0),
        ):
            if value is not None and value < least:
                raise NasplugError(f"{name} must be at least {least} or null, but got {value}")
        if mutants == crossovers == 0:
            raise NasplugError("mutants + crossovers must be at least 1, but both are 0")
        if not 0 <= mutation_rate <= 1:
            raise NasplugError(f"mutation_rate must be in 0..1, but got {mutation_rate}")
        self.population = population
        self.parents = parents
        self.mutants = mutants
        self.crossovers = crossovers
        self.mutation_rate = mutation_rate
        self.warm_start = warm_start
        self._sample_size = SampleSize()

    def setup(self, problem: Problem) -> None:
        """Start anew."""
        chosen = population_for(problem.budget, POPULATION, GENERATIONS)
        size = chosen if self.population is None else self.population
        published = POPULATION if self.population is None else None
        self._sample_size.announce("evolution", "population", size, problem.budget, published)
        first = warm_start_architectures(problem, self.warm_start, size)
        self._ask_tell = AskTell(self._search(problem, first, size), problem)

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """What is left of the generation, at most `n`."""
        return self._ask_tell.ask(n, pending)

    def tell(self, results: Sequence[Record]) -> None:
        """Parents are chosen once the whole generation is told."""
        self._ask_tell.tell(results)

    def _search(self, problem: Problem, first: list[Architecture], size: int) -> Search:
        rng = np.random.default_rng(problem.seed)
        few = max(1, round(size * 2 / 5))
        mutants = few if self.mutants is None else self.mutants
        crossovers = few if self.crossovers is None else self.crossovers
        keep = self.parents or max(2, round(size / 5))
        first = [a for a, ok in zip(first, within_limits(problem, first), strict=True) if ok]
        first += sample_within_limits(problem, size - len(first), rng, set(first))
        seen, parents = set(first), first
        values = told = yield first
        while True:
            order = nondominated_order(problem.losses(told), problem.violation(told))[:keep]
            parents, values = [parents[i] for i in order], told[order]
            genes = np.array(parents, np.int64)
            mutate = partial(_mutants, problem.space, genes, self.mutation_rate, rng)
            cross = partial(_crossovers, problem.space, genes, rng)
            children = _breed(problem, mutants, mutate, seen, rng)
            children += _breed(problem, crossovers, cross, seen, rng)
            told = np.concatenate([values, (yield children)])
            parents = parents + children


def _breed(
    problem: Problem,
    n: int,
    make: Callable[[int], IntArray],
    seen: set[Architecture],
    rng: np.random.Generator,
) -> list[Architecture]:
    """`n` new valid architectures within the limits from `make`, added to `seen`; random ones where the
    parents have nothing new to give, and fewer where the space has no more."""
    wanted = n * draws(problem.candidate_scorer)
    found: dict[Architecture, None] = {}
    for _ in range(TRIES):
        if len(found) >= wanted:
            break
        new = [a for a in dict.fromkeys(problem.space.valid(make(wanted))) if a not in seen]
        keeps = within_limits(problem, new)
        found |= dict.fromkeys(a for a, ok in zip(new, keeps, strict=True) if ok)
    children = best_of_groups(problem.candidate_scorer, list(found)[:wanted], n)
    seen.update(children)
    rest = sample_within_limits(problem, n - len(children), rng, seen)
    seen.update(rest)
    return children + rest


def _mutants(
    space: SearchSpace, parents: IntArray, rate: float, rng: np.random.Generator, n: int
) -> IntArray:
    """`n` children of random `parents`, shape (n, v): each gene drawn anew with probability `rate`."""
    chosen = parents[rng.integers(0, len(parents), n)]
    genes = Variation("uniform", 0.0, 0.0).children(space, chosen, chosen, rng)
    drawn = rng.integers(0, space.option_counts, genes.shape)
    return np.where(rng.random(genes.shape) < rate, drawn, genes)


def _crossovers(
    space: SearchSpace, parents: IntArray, rng: np.random.Generator, n: int
) -> IntArray:
    """`n` children of two different `parents` each, shape (n, v): each gene from either."""
    first = rng.integers(0, len(parents), n)
    second = (first + rng.integers(1, max(len(parents), 2), n)) % len(parents)
    return Variation("uniform", 1.0, 0.0).children(space, parents[first], parents[second], rng)
