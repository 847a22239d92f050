"""WarmUp: what a zero-cost proxy ranks highest is measured first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

import numpy as np

from nasplug import PositiveInt, Problem, Strategy
from nasplug.contracts.proxy import ProxyScorer
from nasplug.contracts.types import Record, Trial
from nasplug_proxies.wrappers.pool import best_first

STREAM = 0x3A
"""Keeps the pool's random numbers apart from the strategy's, which start from the same seed."""


@final
class WarmUp(Strategy):
    """Any strategy, whose first architectures are the best-scored of a random pool.

    How many it takes is the strategy's: its first population, start-up trials or sample. With
    several objectives they are spread over the front of score against cost. Source: Abdelfattah,
    Mehrotra, Dudziak, Lane, "Zero-cost proxies for lightweight NAS" (ICLR 2021), section 4.

    Args:
        strategy: what is warmed up.
        proxies: what scores, such as the evaluator `proxies`.
        proxy: the score's name; null: no warm-up.
        pool: architectures scored, all of the space where it has fewer.
    """

    def __init__(
        self,
        strategy: Strategy,
        proxies: ProxyScorer,
        proxy: str | None = None,
        pool: PositiveInt = 3000,
    ) -> None:
        self.strategy = strategy
        self.proxies = proxies
        self.proxy = proxy
        self.pool = pool

    def setup(self, problem: Problem) -> None:
        """Score the pool, and start anew."""
        if self.proxy is not None:
            rng = np.random.default_rng((problem.seed, STREAM))
            archs = [tuple(row) for row in problem.space.sample(self.pool, rng).tolist()]
            scores = self.proxies.scores(archs, self.proxy)
            problem = replace(problem, initial_architectures=best_first(problem, archs, scores))
        self.strategy.setup(problem)

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """What the strategy asks."""
        return self.strategy.ask(n, pending)

    def tell(self, results: Sequence[Record]) -> None:
        """What the strategy learns."""
        self.strategy.tell(results)
