"""AgingEvolution: regularised evolution, where the oldest dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import final

import numpy as np

from nasplug import (
    CandidateScorer,
    NasplugError,
    PositiveInt,
    Problem,
    Strategy,
    UnitInterval,
    require_at_least,
)
from nasplug.contracts.types import Architecture, FloatArray, Record, Trial
from nasplug.toolkit.searching.ask_tell import AskTell, Search
from nasplug_strategies.candidate_scoring import best_first, draws
from nasplug_strategies.nondominated_order import nondominated_order
from nasplug_strategies.population import SampleSize, population_for
from nasplug_strategies.warm_start import fill_up, warm_start_architectures

POOL = 64
"""Of the zero-cost NAS experiments (Abdelfattah et al. 2021)."""

TOURNAMENT = 10
"""Of theirs too."""


@final
class AgingEvolution(Strategy):
    """The winner of a tournament gets a child by one change; the child joins the pool and the
    oldest leaves it.

    Source: Real, Aggarwal, Huang, Le, "Regularized evolution for image classifier architecture
    search" (2019); the defaults are those of the zero-cost NAS experiments (Abdelfattah et al.
    2021). With several objectives the better is the one of lower non-dominated rank in the pool,
    then of larger crowding distance; the feasible come first.

    With a preference the child is, as published, the best-scored of the winner's new neighbours.

    Args:
        pool: architectures alive; so many random ones are measured first. null: budget // 2, at least
            4 and at most `POOL`, which is the published 64 from a budget of 128 on.
        tournament: how many of the pool take part in a tournament. null: the published 10 of 64, in
            proportion to the pool, at least 2.
        batch: children proposed at a time; more only where many can be measured at once.
        greed: with a preference, how often the best-scored neighbour is the child, else a random one.
        warm_start: a run's folder, whose front is measured first, or one of its CSV files.
    """

    def __init__(
        self,
        pool: PositiveInt | None = None,
        tournament: PositiveInt | None = None,
        batch: PositiveInt = 1,
        greed: UnitInterval = 0.75,
        warm_start: str | None = None,
    ) -> None:
        if pool is not None:
            require_at_least("pool", pool, 1)
        if tournament is not None and not 1 <= tournament <= (pool or tournament):
            raise NasplugError(
                f"1 <= tournament <= pool must hold, but got (tournament={tournament}, pool={pool})"
            )
        require_at_least("batch", batch, 1)
        if not 0 <= greed <= 1:
            raise NasplugError(f"greed must be in 0..1, but got {greed}")
        self.pool = pool
        self.tournament = tournament
        self.batch = batch
        self.greed = greed
        self.warm_start = warm_start
        self._sample_size = SampleSize()

    def setup(self, problem: Problem) -> None:
        """Start anew."""
        chosen = population_for(problem.budget, POOL, 2)
        size = chosen if self.pool is None else self.pool
        published = POOL if self.pool is None else None
        self._sample_size.announce("aging_evolution", "pool", size, problem.budget, published)
        first = warm_start_architectures(problem, self.warm_start, size)
        self._ask_tell = AskTell(self._search(problem, first, size), problem)

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """What is left of the first pool, then of the batch of children, at most `n`."""
        return self._ask_tell.ask(n, pending)

    def tell(self, results: Sequence[Record]) -> None:
        """Children join the pool once their whole batch is told."""
        self._ask_tell.tell(results)

    def _search(self, problem: Problem, first: list[Architecture], size: int) -> Search:
        rng = np.random.default_rng(problem.seed)
        first = fill_up(first, size, problem.space, rng)
        seen = set(first)
        values = yield first
        pool = deque(zip(first, values, strict=True), maxlen=size)
        while True:
            children = self._children(problem, pool, seen, rng)
            values = yield children
            pool.extend(zip(children, values, strict=True))

    def _children(
        self,
        problem: Problem,
        pool: deque[tuple[Architecture, FloatArray]],
        seen: set[Architecture],
        rng: np.random.Generator,
    ) -> list[Architecture]:
        """A batch of new neighbours of tournament winners; random ones where there are none."""
        values = np.array([row for _, row in pool])
        place = np.argsort(nondominated_order(problem.losses(values), problem.violation(values)))
        tournament = self.tournament or max(2, round(TOURNAMENT / POOL * (pool.maxlen or POOL)))
        children: list[Architecture] = []
        for _ in range(self.batch):
            drawn = rng.permutation(len(pool))[:tournament]
            for i in drawn[np.argsort(place[drawn])]:
                fresh = [a for a in problem.space.neighbours(pool[i][0]) if a not in seen]
                if fresh:
                    break
            else:
                fresh = [tuple(a) for a in problem.space.sample(1, rng, seen).tolist()]
            if fresh:
                children.append(self._one(problem.candidate_scorer, fresh, rng))
                seen.add(children[-1])
        return children

    def _one(
        self,
        candidate_scorer: CandidateScorer | None,
        fresh: list[Architecture],
        rng: np.random.Generator,
    ) -> Architecture:
        """A random one of `fresh`, or the best-scored of as many as the preference allows."""
        if candidate_scorer is None or rng.random() >= self.greed:
            return fresh[int(rng.integers(len(fresh)))]
        some = [fresh[i] for i in rng.permutation(len(fresh))[: draws(candidate_scorer)]]
        best: Architecture = some[best_first(candidate_scorer, some)[0]]
        return best
