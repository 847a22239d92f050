"""Linas: measure few, learn, search on what was learnt, measure the most promising."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, prod
from typing import final

import numpy as np

from nasplug import NasplugError, Predictor, Problem, SearchSpace, Strategy, at_least
from nasplug.contracts.types import Architecture, FloatArray, IntArray
from nasplug.toolkit.ask_tell import AskTell, Search
from nasplug_strategies.candidate_scoring import draws, of_each
from nasplug_strategies.linas.batch_selection import choose
from nasplug_strategies.linas.features import Features
from nasplug_strategies.linas.initial_design import spread_sample
from nasplug_strategies.linas.local_search import distinct, keys, polish, search_predicted
from nasplug_strategies.linas.model import Model, capped, keep_memory
from nasplug_strategies.nondominated_order import standing
from nasplug_strategies.warm_start import fill_up, opening


@final
class Linas(Strategy):
    """Lightweight iterative neural architecture search, made for the fewest measurements.

    The frame is that of Cummings et al., "A hardware-aware framework for accelerating neural
    architecture search across modalities" (2022), Algorithm 1: in turn predictors learn from all
    that is measured, an inner search runs on their predictions, and what it proposes is measured.
    Here the first sample is spread over the cost range (`linas_first`), what the space computes is
    computed, the predictors see kinds of variables and costs (`linas_features`) and not how bad the
    hopeless are (`linas_model`), batches are small and chosen by the hypervolume they promise
    (`linas_batch`), and a local search around the measured front, the predicted one, and that of the
    last round follows the inner search (`linas_inner`). How much uncertainty counts is drawn anew each
    round: Berk, Gupta, Rana, Venkatesh, "Randomised Gaussian process upper confidence bound for
    Bayesian optimisation" (2020); and a predictor's standard deviations are scaled by how many of them
    its last predictions were off.

    Args:
        inner: the strategy that searches on predictions.
        predictor: any regressor; each predicted metric gets a copy.
        predictors: metric name to a regressor of its own.
        first: how many are measured before anything is learnt.
        batch: how many are measured at least before learning again.
        growth: how many at least as a share of those measured.
        evaluations: predictions of each inner search.
        optimism: standard deviations, scaled so, by which predicted objectives are bettered, over
            the root of the logarithm of the number measured (Srinivas et al. 2010), on average:
            each round draws them from an exponential distribution of this mean.
        described: whether predictors get the features of `linas_features`; else the masked one-hot.
        polish: rounds of local search times those measured: the more there are, the dearer is a
            prediction, and the nearer a search starts to where it ends; 0 for none.
        spread: whether the first sample is spread over the cost range; else uniform.
        selection: "hypervolume" or "rank": how the batch is chosen.
        warm_start: a run's folder, whose front is measured first, or one of its CSV files.
    """

    def __init__(
        self,
        inner: Strategy,
        predictor: Predictor,
        predictors: Mapping[str, Predictor] | None = None,
        first: int = 4,
        batch: int = 1,
        growth: float = 0.015,
        evaluations: int = 200,
        optimism: float = 0.55,
        described: bool = True,
        polish: int = 100,
        spread: bool = True,
        selection: str = "hypervolume",
        warm_start: str | None = None,
    ) -> None:
        at_least("first of linas", first, 1)
        at_least("batch of linas", batch, 1)
        at_least("evaluations of linas", evaluations, 1)
        at_least("growth of linas", growth, 0)
        at_least("optimism of linas", optimism, 0)
        at_least("polish of linas", polish, 0)
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
        self.described = described
        self.polish = polish
        self.spread = spread
        self.selection = selection
        self.warm_start = warm_start

    def setup(self, problem: Problem) -> None:
        """Start anew; an error if the inner search cannot solve such a problem."""
        for name in self.predictors:
            if name in problem.computed:
                raise NasplugError(
                    f"predictors must name metrics that are predicted, but {name} is computed"
                )
        self.inner.setup(problem)
        self._rounds = AskTell(self._search(problem, opening(problem, self.warm_start, self.first)))

    def ask(self, n: int) -> Sequence[Architecture]:
        """What is left of the batch, at most `n`."""
        return self._rounds.ask(n)

    def tell(self, archs: Sequence[Architecture], values: FloatArray) -> None:
        """Learnt from once the whole batch is told."""
        self._rounds.tell(archs, values)

    def _search(self, problem: Problem, first: list[Architecture]) -> Search:
        space, rng = problem.space, np.random.default_rng(problem.seed)
        features = Features(space, rng) if self.described else None
        predictors = {name: self.predictors.get(name, self.predictor) for name in problem.metrics}
        whole = _whole(problem.space)
        keep_memory()
        if self.spread and len(first) < self.first:
            first = first + spread_sample(problem, self.first - len(first), rng, first)
        archs = fill_up(first, self.first, space, rng)
        values = yield archs
        kept = np.empty((0, len(space.variables)), np.int64)
        surprises = np.ones((LATEST, len(problem.metrics)))
        while True:
            size = max(self.batch, round(self.growth * len(archs)))
            batch: list[Architecture] = []
            model = None
            if np.isfinite(values).all(axis=1).any():
                doubt = np.sqrt(np.mean(surprises**2, axis=0))
                optimism = self.optimism * np.sqrt(np.log(len(archs) + 1)) * doubt
                optimism *= rng.exponential()
                learnt = capped(problem, values)
                model = Model(problem, features, predictors, archs, learnt, optimism)
                most = size * draws(problem.prefer)
                kept, predicted = self._candidates(problem, model, archs, kept, whole, most, rng)
                order = np.arange(len(kept))[:most]
                if self.selection == "hypervolume":
                    order = choose(problem, values, predicted, most, rng)
                best = [tuple(row) for row in kept[order].tolist()]
                batch = of_each(problem.prefer, best, size)
            if len(batch) < size:
                rest = space.sample(size - len(batch), rng, exclude={*archs, *batch})
                batch += [tuple(row) for row in rest.tolist()]
            if not batch:
                return
            told = yield batch
            if model:
                surprises = np.concatenate([surprises, model.surprise(batch, told)])[-LATEST:]
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
        """The most promising that are not measured, best first, and what is predicted of them.

        At least `size`, unless the search found fewer. It starts anew, the local search after it
        from what is measured and from what was `kept` the last time too.
        """
        measured = np.array(archs, np.int64)
        if whole is not None:
            found, told = whole, model(whole)
        else:
            seed = int(rng.integers(2**31))
            found, told = search_predicted(problem, self.inner, model, self.evaluations, seed)
            if self.polish:
                start = distinct(np.concatenate([found, measured, kept]))
                told = np.concatenate([told, model(start[len(found) :])])
                rounds = ceil(self.polish / len(measured))
                found, told = polish(problem, model, start, told, rounds, WIDTH, rng)
        done = set(keys(measured))
        fresh = np.array([key not in done for key in keys(found)], bool)
        found, told = found[fresh], told[fresh]
        best = standing(problem.losses(told), problem.violation(told))[: max(KEPT, size)]
        return found[best], told[best]


LATEST = 20
"""Measurements by which the predictors' uncertainty is judged."""

WIDTH = 15
"""Members of the predicted front around which each round of local search looks."""

KEPT = 200
"""The most promising: those to choose from, and to start from in the next round."""


SMALL = 500
"""A space of so many architectures at most is predicted whole."""


def _whole(space: SearchSpace) -> IntArray | None:
    """Every architecture of a small space."""
    if prod(len(v.options) for v in space.variables) > 2**20:
        return None
    every = space.enumerate()
    return every if len(every) <= SMALL else None
