"""Evolution: the evolutionary algorithms, as a strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, final

import numpy as np

from nasplug import (
    NasplugError,
    PositiveInt,
    Problem,
    Range,
    Strategy,
    UnitInterval,
    require_at_least,
)
from nasplug.contracts.errors import unknown
from nasplug.contracts.types import Architecture, FloatArray, Record, Trial
from nasplug.toolkit.searching.ask_tell import AskTell, Search
from nasplug.toolkit.searching.pareto import bounds
from nasplug_strategies.evolution.algorithms import ALGORITHMS, check
from nasplug_strategies.evolution.algorithms import settings as own_settings
from nasplug_strategies.evolution.engine import Exhausted, Parts
from nasplug_strategies.evolution.operators import Variation
from nasplug_strategies.nondominated_order import nondominated_order
from nasplug_strategies.population import SampleSize, population_for
from nasplug_strategies.warm_start import fill_up, warm_start_architectures

POPULATION = 50
"""Table 4 of the DyNAS-T paper."""

GENERATIONS = 5
"""A population that is chosen from the budget leaves room for so many generations."""

FAILED = 1e3
"""Loss of an architecture that could not be measured; the first population's lie in 0..1."""

BROKEN = 1e9
"""Its constraint violation."""


@final
class Evolution(Strategy):
    """An evolutionary search: a population, children of its better half, the best of both survive.

    Defaults are Table 4 of the DyNAS-T paper (population 50, crossover 0.9, mutation 0.02 per
    variable); the operators are discrete (`nasplug_strategies.evolution.operators`), and no architecture is
    ever a child twice. Each generation is one `ask`. With a preference several children are bred for
    one that is measured.

    Args:
        algorithm: one of nsga2, nsga3, unsga3, agemoea, agemoea2, moead, ctaea, smsemoa, rvea, spea2
            and, for one objective, ga.
        population: how many survive; so many are measured at random first. For nsga3, unsga3, moead,
            ctaea and rvea also the number of reference directions. null: budget // 5, at least 4 and
            at most `POPULATION`, which is the published 50 from a budget of 250 on.
        offspring: children in a generation; null: as many as the population.
        crossover: "uniform" or "two_point".
        crossover_rate: probability that a pair mixes its genes.
        mutation_rate: probability, per variable, of another option.
        settings: the algorithm's own: moead's `neighbours` and `neighbour_mating`; rvea's
            `generations` over which its angle penalty grows, `alpha` and `adapt` (never the budget:
            what a search asks does not depend on when it ends).
        warm_start: a run's folder, whose front is measured first, or one of its CSV files.
    """

    def __init__(
        self,
        algorithm: str = "nsga2",
        population: Annotated[int, Range(ge=2)] | None = None,
        offspring: PositiveInt | None = None,
        crossover: Literal["uniform", "two_point"] = "uniform",
        crossover_rate: UnitInterval = 0.9,
        mutation_rate: UnitInterval = 0.02,
        settings: Mapping[str, float] | None = None,
        warm_start: str | None = None,
    ) -> None:
        if algorithm not in ALGORITHMS:
            raise unknown("algorithm", algorithm, ALGORITHMS)
        spec = ALGORITHMS[algorithm]
        if population is not None:
            require_at_least("population", population, 2)
        if offspring is not None and offspring < 1:
            raise NasplugError(f"offspring must be at least 1 or null, but got {offspring}")
        if spec.one_for_one and offspring not in (None, population):
            raise NasplugError(
                f"{algorithm} has one child a reference direction: offspring must be null, but got "
                f"{offspring}; change population instead"
            )
        self.algorithm = algorithm
        self.population = population
        self.offspring = offspring
        self.crossover: Literal["uniform", "two_point"] = crossover
        self.crossover_rate = crossover_rate
        self.mutation_rate = mutation_rate
        self.settings = own_settings(algorithm, settings or {})
        self.warm_start = warm_start
        self._variation = Variation(crossover, crossover_rate, mutation_rate)
        self._sample_size = SampleSize()

    def setup(self, problem: Problem) -> None:
        """Start anew; an error if the algorithm cannot do so many objectives, or constraints."""
        check(self.algorithm, problem)
        chosen = population_for(problem.budget, POPULATION, GENERATIONS)
        size = chosen if self.population is None else self.population
        published = POPULATION if self.population is None else None
        self._sample_size.announce(self.algorithm, "population", size, problem.budget, published)
        first = warm_start_architectures(problem, self.warm_start, size)
        self._ask_tell = AskTell(self._search(problem, first, size), problem)

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """What is left of the generation, at most `n`."""
        return self._ask_tell.ask(n, pending)

    def tell(self, results: Sequence[Record]) -> None:
        """The generation is selected from once all of it is told."""
        self._ask_tell.tell(results)

    def _search(self, problem: Problem, first: list[Architecture], size: int) -> Search:
        rng = np.random.default_rng(problem.seed)
        first = fill_up(first, size, problem.space, rng)
        seen = set(first)
        values = yield first
        if len(first) < size:
            return
        best = nondominated_order(problem.losses(values), problem.violation(values))[:size]
        scale = _Scale(problem, values)
        losses, violation = scale(values[best])
        engine = ALGORITHMS[self.algorithm].build(
            Parts(
                space=problem.space,
                variation=self._variation,
                offspring=self.offspring or size,
                genes=np.array(first, np.int64)[best],
                losses=losses,
                violation=violation,
                seen=seen,
                settings=self.settings,
                seed=int(rng.integers(2**31)),
                candidate_scorer=problem.candidate_scorer,
            )
        )
        while True:
            try:
                children = engine.ask()
            except Exhausted as end:
                yield end.rest
                return
            engine.tell(*scale((yield children)))


@final
class _Scale:
    """Values to losses and violation as engines get them.

    Each objective's range over the first measured ones becomes 0..1, so that algorithms that weigh
    objectives against each other weigh them equally.
    """

    def __init__(self, problem: Problem, values: FloatArray) -> None:
        self.problem = problem
        best, worst = bounds(problem.losses(values))
        self.low, self.extent = best, worst - best

    def __call__(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        violation = self.problem.violation(values)
        failed = np.isinf(violation)
        losses = (self.problem.losses(values) - self.low) / self.extent
        return np.where(failed[:, None], FAILED, losses), np.where(failed, BROKEN, violation)
