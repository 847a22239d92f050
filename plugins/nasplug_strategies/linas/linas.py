"""Linas: measure a few, fit predictors, search on predictions, measure the most promising."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil, prod
from typing import final

import numpy as np

from nasplug import (
    NasplugError,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    Predictor,
    Problem,
    SearchSpace,
    Strategy,
    require_at_least,
)
from nasplug.contracts.types import Architecture, FloatArray, IntArray, Record, Trial
from nasplug.toolkit.searching.ask_tell import AskTell, Search
from nasplug.toolkit.searching.search_on_predictions import search_on_predictions
from nasplug_strategies.candidate_scoring import best_of_groups, draws
from nasplug_strategies.linas.batch_selection import choose
from nasplug_strategies.linas.features import Features
from nasplug_strategies.linas.initial_design import spread_sample
from nasplug_strategies.linas.local_search import distinct, keys, local_search
from nasplug_strategies.linas.model import Model, clip_to_front, keep_memory
from nasplug_strategies.nondominated_order import nondominated_order
from nasplug_strategies.warm_start import fill_up, warm_start_architectures


@final
class Linas(Strategy):
    """Lightweight iterative neural architecture search, made for the fewest measurements.

    The frame is that of Cummings et al., "A hardware-aware framework for accelerating neural
    architecture search across modalities" (2022), Algorithm 1. Each round fits predictors to all
    measurements, runs an inner search on their predictions, and measures what it proposes. Here

    - the initial design is spread over the cost range (`initial_design`);
    - costs that the space computes are computed, never predicted;
    - predictors get features of costs and of kinds of variables (`features`);
    - losses far behind the measured front are clipped before they are learnt from (`model`);
    - a Pareto local search follows the inner search (`local_search`); it starts from the candidates
      of the inner search, all measured architectures, and the best candidates of the last round;
    - batches are small, and chosen by the hypervolume that they are predicted to add
      (`batch_selection`).

    A predicted objective counts as loss = mean - b * std, with b = optimism * sqrt(log(t + 1)) * r * e:
    t is the number of measurements; r is, for each metric, the root of the mean square of the last
    20 standardised residuals (measured - predicted) / std, 1 at first; e ~ Exp(1) is drawn each round.
    sqrt(log t) is from Srinivas, Krause, Kakade, Seeger, "Gaussian process optimization in the bandit
    setting" (2010), the random factor from Berk, Gupta, Rana, Venkatesh, "Randomised Gaussian process
    upper confidence bound for Bayesian optimisation" (2020).

    Args:
        inner: the strategy that searches on predictions.
        predictor: any regressor; each predicted metric gets a copy.
        predictors: metric name to a regressor of its own.
        first: size of the initial design.
        batch: the least number of measurements in a round.
        growth: the same as a share of the measurements so far; the larger of the two counts.
        evaluations: predictions of each inner search.
        optimism: the factor in b above; 0: predicted objectives count as their mean.
        cost_features: whether predictors get the features of `features`; else the masked one-hot.
        local_search: a round runs ceil(local_search / t) rounds of local search, t measurements;
            0 disables it.
        spread: whether the initial design is spread over the cost range; else it is uniform.
        selection: "hypervolume": the batch that is predicted to add the most hypervolume; "rank": the
            first by non-dominated rank and crowding distance.
        warm_start: a run's folder, whose front is measured first, or one of its CSV files.
    """

    def __init__(
        self,
        inner: Strategy,
        predictor: Predictor,
        predictors: Mapping[str, Predictor] | None = None,
        first: PositiveInt = 4,
        batch: PositiveInt = 1,
        growth: NonNegativeFloat = 0.015,
        evaluations: PositiveInt = 200,
        optimism: NonNegativeFloat = 0.55,
        cost_features: bool = True,
        local_search: NonNegativeInt = 100,
        spread: bool = True,
        selection: str = "hypervolume",
        warm_start: str | None = None,
    ) -> None:
        require_at_least("first of linas", first, 1)
        require_at_least("batch of linas", batch, 1)
        require_at_least("evaluations of linas", evaluations, 1)
        require_at_least("growth of linas", growth, 0)
        require_at_least("optimism of linas", optimism, 0)
        require_at_least("local_search of linas", local_search, 0)
        if selection not in ("hypervolume", "rank"):
            raise NasplugError(
                f"selection of linas must be hypervolume or rank, but got {selection!r}"
            )
        self.inner = inner
        self.predictor = predictor
        self.predictors = dict(predictors or {})
        self.first = first
        self.batch = batch
        self.growth = growth
        self.evaluations = evaluations
        self.optimism = optimism
        self.cost_features = cost_features
        self.local_search = local_search
        self.spread = spread
        self.selection = selection
        self.warm_start = warm_start

    def setup(self, problem: Problem) -> None:
        """Start anew; an error if the inner search cannot solve such a problem."""
        for name in self.predictors:
            if name in problem.closed_form:
                raise NasplugError(
                    f"predictors must name metrics that are predicted, but {name} is computed"
                )
        self.inner.setup(replace(problem, budget=self.evaluations))
        self._ask_tell = AskTell(
            self._search(problem, warm_start_architectures(problem, self.warm_start, self.first)),
            problem,
        )

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """What is left of the batch, at most `n`."""
        return self._ask_tell.ask(n, pending)

    def tell(self, results: Sequence[Record]) -> None:
        """Learnt from once the whole batch is told."""
        self._ask_tell.tell(results)

    def _search(self, problem: Problem, first: list[Architecture]) -> Search:
        space, rng = problem.space, np.random.default_rng(problem.seed)
        features = Features(space, rng) if self.cost_features else None
        predictors = {name: self.predictors.get(name, self.predictor) for name in problem.metrics}
        whole = _whole(problem.space)
        keep_memory()
        if self.spread and len(first) < self.first:
            first = first + spread_sample(problem, self.first - len(first), rng, first)
        archs = fill_up(first, self.first, space, rng)
        values = yield archs
        kept = np.empty((0, len(space.variables)), np.int64)
        residuals = np.ones((RECENT, len(problem.metrics)))
        while True:
            size = max(self.batch, round(self.growth * len(archs)))
            batch: list[Architecture] = []
            model = None
            if np.isfinite(values).all(axis=1).any():
                residual_rms = np.sqrt(np.mean(residuals**2, axis=0))
                optimism = self.optimism * np.sqrt(np.log(len(archs) + 1)) * residual_rms
                optimism *= rng.exponential()
                learnt = clip_to_front(problem, values)
                model = Model(problem, features, predictors, archs, learnt, optimism)
                most = size * draws(problem.candidate_scorer)
                kept, predicted = self._candidates(problem, model, archs, kept, whole, most, rng)
                order = np.arange(len(kept))[:most]
                if self.selection == "hypervolume":
                    order = choose(problem, values, predicted, most, rng)
                best = [tuple(row) for row in kept[order].tolist()]
                batch = best_of_groups(problem.candidate_scorer, best, size)
            if len(batch) < size:
                rest = space.sample(size - len(batch), rng, exclude={*archs, *batch})
                batch += [tuple(row) for row in rest.tolist()]
            if not batch:
                return
            told = yield batch
            if model:
                residuals = np.concatenate([residuals, model.standardized_residuals(batch, told)])[
                    -RECENT:
                ]
            archs, values = archs + batch, np.concatenate([values, told])

    def _candidates(
        self,
        problem: Problem,
        model: Model,
        archs: list[Architecture],
        kept: IntArray,
        whole: IntArray | None,
        size: int,
        rng: np.random.Generator,
    ) -> tuple[IntArray, FloatArray]:
        """The best `KEPT` candidates that are not measured, best first, shape (k, v), and their
        predicted values, (k, metrics).

        At least `size`, unless the search found fewer. The inner search starts anew; the local search
        also from all measured architectures and from those `kept` in the last round.
        """
        measured = np.array(archs, np.int64)
        if whole is not None:
            found, told = whole, model(whole)
        else:
            seed = int(rng.integers(2**31))
            found, told = search_on_predictions(problem, self.inner, model, self.evaluations, seed)
            if self.local_search:
                start = distinct(np.concatenate([found, measured, kept]))
                told = np.concatenate([told, model(start[len(found) :])])
                rounds = ceil(self.local_search / len(measured))
                found, told = local_search(problem, model, start, told, rounds, WIDTH, rng)
        done = set(keys(measured))
        fresh = np.array([key not in done for key in keys(found)], bool)
        found, told = found[fresh], told[fresh]
        best = nondominated_order(problem.losses(told), problem.violation(told))[: max(KEPT, size)]
        return found[best], told[best]


RECENT = 20
"""The last standardised residuals, by which the predictors' standard deviations are scaled."""

WIDTH = 15
"""Members of the predicted front whose neighbours each round of local search predicts."""

KEPT = 200
"""Candidates to choose from, and to start from in the next round."""


SMALL = 500
"""A space of so many architectures at most is predicted whole."""


def _whole(space: SearchSpace) -> IntArray | None:
    """Every architecture of a small space."""
    if prod(len(v.options) for v in space.variables) > 2**20:
        return None
    every = space.enumerate()
    return every if len(every) <= SMALL else None
