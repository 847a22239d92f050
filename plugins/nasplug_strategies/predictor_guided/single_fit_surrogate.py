"""SingleFitSurrogate: measure at random, train a predictor once, search on it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import final

import numpy as np

from nasplug import PositiveInt, Predictor, Problem, Strategy, require_at_least
from nasplug.contracts.types import Architecture, Archs, FloatArray, IntArray, Record, Trial
from nasplug.toolkit.searching.ask_tell import AskTell, Search
from nasplug.toolkit.searching.search_on_predictions import search_on_predictions
from nasplug_strategies.nondominated_order import nondominated_order
from nasplug_strategies.population import SampleSize, population_for
from nasplug_strategies.warm_start import fill_up, warm_start_architectures

SAMPLES = 100
"""Random measurements from which the predictors learn, where the budget allows."""


@final
class SingleFitSurrogate(Strategy):
    """The once-for-all way: a random sample, one predictor a metric, then a constrained search on
    predictions, whose architectures are measured from the best down.

    What the space computes exactly is computed. A preference's score is one more feature. Source:
    Cai, Gan, Wang, Zhang, Han, "Once-for-all: train one network and specialize it for efficient
    deployment" (2020), which measures 16,000.

    Args:
        predictor: any regressor; each metric gets a copy.
        search: the strategy that searches on predictions.
        samples: how many are measured at random first. null: budget // 2, at least 4
            and at most `SAMPLES`.
        evaluations: how many predictions the search may use.
        batch: how many of the best are proposed at a time.
        warm_start: a run's folder, whose front is measured first, or one of its CSV files.
    """

    def __init__(
        self,
        predictor: Predictor,
        search: Strategy,
        samples: PositiveInt | None = None,
        evaluations: PositiveInt = 20_000,
        batch: PositiveInt = 50,
        warm_start: str | None = None,
    ) -> None:
        if samples is not None:
            require_at_least("samples", samples, 1)
        require_at_least("evaluations", evaluations, 1)
        require_at_least("batch", batch, 1)
        self.predictor = predictor
        self.search = search
        self.samples = samples
        self.evaluations = evaluations
        self.batch = batch
        self.warm_start = warm_start
        self._sample_size = SampleSize()

    def setup(self, problem: Problem) -> None:
        """Start anew; an error if the inner search cannot solve such a problem."""
        self.search.setup(replace(problem, budget=self.evaluations))
        chosen = population_for(problem.budget, SAMPLES, 2)
        size = chosen if self.samples is None else self.samples
        self._sample_size.announce("single_fit_surrogate", "samples", size, problem.budget)
        first = warm_start_architectures(problem, self.warm_start, size)
        self._ask_tell = AskTell(self._search(problem, first, size), problem)

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """What is left of the sample, then of the best predicted, at most `n`."""
        return self._ask_tell.ask(n, pending)

    def tell(self, results: Sequence[Record]) -> None:
        """Learnt from once: when the whole sample is told."""
        self._ask_tell.tell(results)

    def _search(self, problem: Problem, first: list[Architecture], size: int) -> Search:
        rng, space = np.random.default_rng(problem.seed), problem.space
        first = fill_up(first, size, problem.space, rng)
        seen = set(first)
        values = yield first
        if np.isfinite(values).all(axis=1).any():
            surrogate = _Surrogate(problem, self.predictor, np.array(first, np.int64), values)
            ranked = [a for a in self._search_on(surrogate, rng) if a not in seen]
            for start in range(0, len(ranked), self.batch):
                yield ranked[start : start + self.batch]
            seen.update(ranked)
        while True:
            rest = [tuple(a) for a in space.sample(self.batch, rng, seen).tolist()]
            seen.update(rest)
            yield rest

    def _search_on(self, surrogate: _Surrogate, rng: np.random.Generator) -> list[Architecture]:
        """Everything that the inner search saw, from the best predicted down."""
        problem, seed = surrogate.problem, int(rng.integers(2**31))
        archs, values = search_on_predictions(
            problem, self.search, surrogate, self.evaluations, seed
        )
        order = nondominated_order(problem.losses(values), problem.violation(values))
        return [tuple(row) for row in archs[order].tolist()]


@final
class _Surrogate:
    """Predicted values, shape (n, metrics), of any architectures; exact where the space computes."""

    def __init__(
        self, problem: Problem, predictor: Predictor, archs: IntArray, values: FloatArray
    ) -> None:
        self.problem = problem
        measured = np.isfinite(values).all(axis=1)
        self.scale = (0.0, 1.0)
        if problem.candidate_scorer is not None:
            scores = problem.candidate_scorer.score(archs)
            known = scores[np.isfinite(scores)]
            self.scale = (
                (float(known.mean()), float(known.std()) or 1.0) if len(known) else self.scale
            )
        features = self._features(archs[measured])
        self.models: dict[int, Predictor] = {}
        for column, name in enumerate(problem.metrics):
            if name not in problem.closed_form:
                self.models[column] = deepcopy(predictor)
                self.models[column].fit(features, values[measured, column])

    def __call__(self, archs: IntArray) -> FloatArray:
        problem = self.problem
        values = np.empty((len(archs), len(problem.metrics)))
        features = self._features(archs)
        for column, model in self.models.items():
            values[:, column] = model.predict(features)
        for name, exact in problem.closed_form_values(archs).items():
            values[:, problem.metrics.index(name)] = exact
        return values

    def _features(self, archs: Archs) -> FloatArray:
        """The space's features, with the standardised score where there is one, shape (n, f)."""
        features = self.problem.space.features(archs)
        if self.problem.candidate_scorer is None:
            return features
        mean, spread = self.scale
        scores = (self.problem.candidate_scorer.score(archs) - mean) / spread
        return np.column_stack([features, np.nan_to_num(scores, nan=-3.0, posinf=3.0, neginf=-3.0)])
