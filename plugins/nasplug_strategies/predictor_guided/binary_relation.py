"""BinaryRelation: a predictor that only has to rank, trained a little at a time."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from math import prod
from typing import Annotated, final

import numpy as np

from nasplug import PositiveInt, Predictor, Problem, Range, SearchSpace, Strategy, require_at_least
from nasplug.contracts.capabilities import PretrainedPredictor, SpaceAwarePredictor
from nasplug.contracts.types import Architecture, FloatArray, IntArray, Record, Trial
from nasplug.toolkit.searching.ask_tell import AskTell, Search
from nasplug_strategies.nondominated_order import nondominated_order
from nasplug_strategies.population import SampleSize
from nasplug_strategies.warm_start import fill_up, warm_start_architectures


@final
class BinaryRelation(Strategy):
    """Measures a batch, learns which architectures are better than which, and measures the next:
    half of it the top of the predicted ranking, half random from its top 1/2, 1/4, 1/8, ..

    With a preference, and a predictor that can, the predictor first learns to rank by the
    preference's score, and chooses the first batch too. With several objectives, better is a lower
    non-dominated rank, then a larger crowding distance; the feasible come first. Sources: Dudziak et
    al., "BRP-NAS" (NeurIPS 2020); Abdelfattah et al., "Zero-cost proxies for lightweight NAS" (ICLR
    2021).

    Args:
        predictor: what ranks; `bp` is the published network at a tenth of its size, `bp_published`
            that of the paper.
        batch: measured between two fits.
        pool: architectures that are ranked: all where the space has no more, else random ones.
        pretrain: random architectures from whose scores a predictor first learns.
        warm_start: a run's folder, whose front is measured first, or one of its CSV files.
    """

    def __init__(
        self,
        predictor: Predictor,
        batch: Annotated[int, Range(ge=2)] = 20,
        pool: PositiveInt = 20_000,
        pretrain: Annotated[int, Range(ge=2)] = 256,
        warm_start: str | None = None,
    ) -> None:
        require_at_least("batch", batch, 2)
        require_at_least("pool", pool, 1)
        require_at_least("pretrain", pretrain, 2)
        self.predictor = predictor
        self.batch = batch
        self.pool = pool
        self.pretrain = pretrain
        self.warm_start = warm_start
        self._sample_size = SampleSize()

    def setup(self, problem: Problem) -> None:
        """Start anew."""
        self._sample_size.announce("bp", "batch", self.batch, problem.budget)
        first = warm_start_architectures(problem, self.warm_start, self.batch)
        self._ask_tell = AskTell(self._search(problem, first), problem)

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """What is left of the batch, at most `n`."""
        return self._ask_tell.ask(n, pending)

    def tell(self, results: Sequence[Record]) -> None:
        """The predictor learns once the whole batch is told."""
        self._ask_tell.tell(results)

    def _search(self, problem: Problem, first: list[Architecture]) -> Search:
        rng, space = np.random.default_rng(problem.seed), problem.space
        model = deepcopy(self.predictor)
        if isinstance(model, SpaceAwarePredictor):
            model.set_space(space)
        pool = self._pool(space, rng, [])
        if len(first) < self.batch and self._pretrain(problem, model, rng):
            known = set(first)
            unseen = np.array([a for a in map(tuple, pool.tolist()) if a not in known], np.int64)
            scores = model.predict(space.features(unseen)) if len(unseen) else np.zeros(0)
            batch = first + self._choose(unseen, scores, self.batch - len(first), 0, rng)
        else:
            batch = fill_up(first, self.batch, space, rng)
        told: dict[Architecture, FloatArray] = {}
        turn = 0
        while batch:
            told.update(zip(batch, (yield batch), strict=True))
            turn += 1
            unseen = np.array([a for a in map(tuple, pool.tolist()) if a not in told], np.int64)
            if not len(unseen):
                unseen = pool = self._pool(space, rng, list(told))
            scores = _ranks(problem, model, told, unseen)
            batch = self._choose(unseen, scores, self.batch, turn, rng)

    def _pool(
        self, space: SearchSpace, rng: np.random.Generator, seen: list[Architecture]
    ) -> IntArray:
        """What is ranked, shape (n, v)."""
        if not seen and prod(len(v.options) for v in space.variables) <= self.pool:
            return space.enumerate()
        return space.sample(self.pool, rng, seen)

    def _pretrain(self, problem: Problem, model: Predictor, rng: np.random.Generator) -> bool:
        """Teach `model` the cheap score; False where there is none, or it cannot learn from one."""
        if problem.candidate_scorer is None or not isinstance(model, PretrainedPredictor):
            return False
        archs = problem.space.sample(self.pretrain, rng)
        scores = np.asarray(problem.candidate_scorer.score(archs), float)
        scored = np.isfinite(scores)
        if scored.sum() < 2:
            return False
        model.pretrain(problem.space.features(archs[scored]), scores[scored])
        return True

    def _choose(
        self, unseen: IntArray, scores: FloatArray, n: int, turn: int, rng: np.random.Generator
    ) -> list[Architecture]:
        """`n` of `unseen`, shape (k, v), fewer where there are fewer."""
        ranking = np.argsort(-scores, kind="stable")
        top, rest = ranking[: n - n // 2], ranking[n - n // 2 :]
        share = rest[: max(len(ranking) >> turn, n) - len(top)]
        chosen = np.concatenate([top, share[rng.permutation(len(share))[: n // 2]]])
        return [tuple(row) for row in unseen[chosen].tolist()]


def _ranks(
    problem: Problem, model: Predictor, told: dict[Architecture, FloatArray], unseen: IntArray
) -> FloatArray:
    """Predicted rank of `unseen`, shape (k,), higher is better; all 0 before anything is known."""
    values = np.array(list(told.values()))
    good = np.isfinite(values).all(axis=1)
    if not good.any() or not len(unseen):
        return np.zeros(len(unseen))
    archs, values = np.array(list(told), np.int64)[good], values[good]
    order = nondominated_order(problem.losses(values), problem.violation(values))
    worth = np.empty(len(order))
    worth[order] = np.arange(len(order), 0, -1)
    model.fit(problem.space.features(archs), worth)
    scores: FloatArray = model.predict(problem.space.features(unseen))
    return scores
