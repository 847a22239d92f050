"""LinasPaper: LINAS as it was published, corrected or to the letter."""

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
    code are corrected, so that it is stronger than published: what the space computes is not
    predicted, and nothing is measured twice. `literal` keeps both. Cummings et al., "A
    hardware-aware framework for accelerating neural architecture search across modalities" (2022).

    Args:
        inner: the strategy that searches on predictions.
        predictor: of every metric that has none of its own.
        predictors: metric name to a predictor of its own (Table 5: ridge for latency).
        population: how many are measured in each round.
        evaluations: predictions of each inner search.
        literal: false: corrected. true: costs are predicted too, and members of the best population
            that are known already count as measured, up to the budget; so fewer are measured.
        warm_start: a run's folder, whose front is measured first, or one of its CSV files.
    """

    def __init__(
        self,
        inner: Strategy,
        predictor: Predictor,
        predictors: Mapping[str, Predictor] | None = None,
        population: PositiveInt = 50,
        evaluations: PositiveInt = 20_000,
        literal: bool = False,
        warm_start: str | None = None,
    ) -> None:
        require_at_least("population of linas_paper", population, 1)
        require_at_least("evaluations of linas_paper", evaluations, 1)
        self.inner = inner
        self.predictor = predictor
        self.predictors = dict(predictors or {})
        self.population = population
        self.evaluations = evaluations
        self.literal = literal
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
        learnt = replace(problem, closed_form=()) if self.literal else problem
        most = problem.budget if self.literal and problem.budget is not None else None
        archs = fill_up(first, self.population, space, rng)
        values = yield archs
        counted = len(archs)
        while most is None or counted < most:
            batch: list[Architecture] = []
            if np.isfinite(values).all(axis=1).any():
                model = Model(learnt, None, predictors, archs, values)
                seed = int(rng.integers(2**31))
                found, told = search_on_predictions(
                    problem, self.inner, model, self.evaluations, seed
                )
                order = nondominated_order(problem.losses(told), problem.violation(told))
                ranked = dict.fromkeys(tuple(found[i].tolist()) for i in order)
                done = set() if self.literal else set(archs)
                several = self.population * draws(problem.candidate_scorer)
                batch = best_of_groups(
                    problem.candidate_scorer,
                    list(islice((a for a in ranked if a not in done), several)),
                    self.population,
                )
            rest = space.sample(self.population - len(batch), rng, exclude={*archs, *batch})
            batch += [tuple(row) for row in rest.tolist()]
            if most is not None:
                batch = batch[: most - counted]
            counted += len(batch)
            known = set(archs)
            new = [arch for arch in batch if arch not in known]
            if not new and (most is None or not batch):
                return
            if new:
                told = yield new
                archs, values = archs + new, np.concatenate([values, told])
