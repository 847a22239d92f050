"""LinasPaper: LINAS as it was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import final

import numpy as np

from nasplug import PositiveInt, Predictor, Problem, Strategy, require_at_least
from nasplug.contracts.types import Architecture, Record, Trial
from nasplug.toolkit.searching.ask_tell import AskTell, Search
from nasplug.toolkit.searching.search_on_predictions import search_on_predictions
from nasplug_strategies.candidate_scoring import best_of_groups, draws
from nasplug_strategies.linas.model import Model
from nasplug_strategies.nondominated_order import nondominated_order
from nasplug_strategies.population import SampleSize
from nasplug_strategies.warm_start import fill_up, warm_start_architectures


@final
class LinasPaper(Strategy):
    """Algorithm 1 with the settings of Table 5, for comparison with `linas`.

    A random population is measured; then in turn predictors learn from all that is measured, an
    inner evolution runs on them, and its best population is measured. Two faults of the published
    code are not repeated: what the space computes is not predicted, and nothing is measured twice.
    Cummings et al., "A hardware-aware framework for accelerating neural architecture search across
    modalities" (2022).

    Args:
        inner: the strategy that searches on predictions.
        predictor: of every metric that has none of its own.
        predictors: metric name to a predictor of its own (Table 5: ridge for latency).
        population: how many are measured in each round.
        evaluations: predictions of each inner search.
        warm_start: a run's folder, whose front is measured first, or one of its CSV files.
    """

    def __init__(
        self,
        inner: Strategy,
        predictor: Predictor,
        predictors: Mapping[str, Predictor] | None = None,
        population: PositiveInt = 50,
        evaluations: PositiveInt = 20_000,
        warm_start: str | None = None,
    ) -> None:
        require_at_least("population of linas_paper", population, 1)
        require_at_least("evaluations of linas_paper", evaluations, 1)
        self.inner = inner
        self.predictor = predictor
        self.predictors = dict(predictors or {})
        self.population = population
        self.evaluations = evaluations
        self.warm_start = warm_start
        self._sample_size = SampleSize()

    def setup(self, problem: Problem) -> None:
        """Start anew; an error if the inner search cannot solve such a problem."""
        self.inner.setup(replace(problem, budget=self.evaluations))
        self._sample_size.announce("linas_paper", "population", self.population, problem.budget)
        self._ask_tell = AskTell(
            self._search(
                problem, warm_start_architectures(problem, self.warm_start, self.population)
            ),
            problem,
        )

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """What is left of the population, at most `n`."""
        return self._ask_tell.ask(n, pending)

    def tell(self, results: Sequence[Record]) -> None:
        """Learnt from once the whole population is told."""
        self._ask_tell.tell(results)

    def _search(self, problem: Problem, first: list[Architecture]) -> Search:
        space, rng = problem.space, np.random.default_rng(problem.seed)
        predictors = {name: self.predictors.get(name, self.predictor) for name in problem.metrics}
        archs = fill_up(first, self.population, space, rng)
        values = yield archs
        while True:
            batch: list[Architecture] = []
            if np.isfinite(values).all(axis=1).any():
                model = Model(problem, None, predictors, archs, values)
                seed = int(rng.integers(2**31))
                found, told = search_on_predictions(
                    problem, self.inner, model, self.evaluations, seed
                )
                order = nondominated_order(problem.losses(told), problem.violation(told))
                done = set(archs)
                new = (a for i in order if (a := tuple(found[i].tolist())) not in done)
                most = self.population * draws(problem.candidate_scorer)
                batch = best_of_groups(
                    problem.candidate_scorer, list(islice(new, most)), self.population
                )
            rest = space.sample(self.population - len(batch), rng, exclude={*archs, *batch})
            batch += [tuple(row) for row in rest.tolist()]
            if not batch:
                return
            told = yield batch
            archs, values = archs + batch, np.concatenate([values, told])
