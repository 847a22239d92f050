"""Move: of several proposals the one that a zero-cost proxy ranks highest is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import final

import numpy as np

from nasplug import CandidateScorer, PositiveInt, Problem, Strategy
from nasplug.contracts.proxy import ProxyScorer
from nasplug.contracts.types import Archs, FloatArray, Record, Trial
from nasplug_proxies.wrappers.pool import feasible


@final
class Move(Strategy):
    """Any strategy, told to draw several candidates for each proposal and to take the best-scored.

    The score alone decides, so with several objectives a warm-up is the better choice. Candidates
    that break a constraint which the space computes have no score. Source: Abdelfattah, Mehrotra,
    Dudziak, Lane, "Zero-cost proxies for lightweight NAS" (ICLR 2021), section 4.

    Args:
        strategy: what proposes.
        proxies: what scores, such as the evaluator `proxies`.
        proxy: the score's name; null: no moves.
        candidates: how many are scored for one that is measured.
    """

    def __init__(
        self,
        strategy: Strategy,
        proxies: ProxyScorer,
        proxy: str | None = None,
        candidates: PositiveInt = 100,
    ) -> None:
        self.strategy = strategy
        self.proxies = proxies
        self.proxy = proxy
        self.candidates = candidates

    def setup(self, problem: Problem) -> None:
        """Start anew."""
        if self.proxy is not None:
            score = partial(_score, problem, self.proxies, self.proxy)
            problem = replace(problem, candidate_scorer=CandidateScorer(score, self.candidates))
        self.strategy.setup(problem)

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """What the strategy asks."""
        return self.strategy.ask(n, pending)

    def tell(self, results: Sequence[Record]) -> None:
        """What the strategy learns."""
        self.strategy.tell(results)


def _score(problem: Problem, proxies: ProxyScorer, proxy: str, archs: Archs) -> FloatArray:
    scores = proxies.scores(archs, proxy)
    return np.where(feasible(problem, archs), scores, np.nan)
