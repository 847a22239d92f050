"""RandomSearch: distinct architectures at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from nasplug import PositiveInt, Problem, Strategy, require_at_least
from nasplug.contracts.types import Architecture, Record, Trial
from nasplug.toolkit.searching.ask_tell import AskTell, Search
from nasplug_strategies.candidate_scoring import sampled
from nasplug_strategies.warm_start import warm_start_architectures


@final
class RandomSearch(Strategy):
    """Every variable uniform, no architecture twice, until the space is exhausted.

    With a preference, each is the best-scored of so many random ones.

    Args:
        batch: how many are drawn, and may be measured, at once.
        warm_start: a run's folder, whose front is measured first, or one of its CSV files.
    """

    def __init__(self, batch: PositiveInt = 64, warm_start: str | None = None) -> None:
        require_at_least("batch", batch, 1)
        self.batch = batch
        self.warm_start = warm_start

    def setup(self, problem: Problem) -> None:
        """Start anew."""
        self._ask_tell = AskTell(
            self._search(problem, warm_start_architectures(problem, self.warm_start)), problem
        )

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """What is left of the batch, at most `n`."""
        return self._ask_tell.ask(n, pending)

    def tell(self, results: Sequence[Record]) -> None:
        """Nothing is learnt."""
        self._ask_tell.tell(results)

    def _search(self, problem: Problem, first: list[Architecture]) -> Search:
        rng = np.random.default_rng(problem.seed)
        seen = set(first)
        if first:
            yield first
        while True:
            archs = sampled(problem, self.batch, rng, seen)
            seen.update(archs)
            yield archs
