"""LocalSearch: climb by single changes, and start again at the top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from nasplug import PositiveInt, Problem, Strategy, require_at_least
from nasplug.contracts.types import Architecture, FloatArray, Record, Trial
from nasplug.toolkit.searching.ask_tell import AskTell, Search
from nasplug.toolkit.searching.pareto import nondominated
from nasplug_strategies.candidate_scoring import best_first, sampled
from nasplug_strategies.warm_start import fill_up, warm_start_architectures


@final
class LocalSearch(Strategy):
    """Looks around the best for better neighbours: hill climbing with restarts for one objective,
    Pareto local search for several.

    It keeps the non-dominated among what it saw since the last start (with one objective, the
    best), takes one of them that it has not finished with, and measures its neighbours, each one
    change away, in random order (with a preference, the best-scored first), a batch at a time. When
    all are finished it starts again from new random ones. While nothing is feasible, it keeps the
    least infeasible. Source: Paquete, Chiarandini, Stuetzle, "Pareto local optimum sets in the
    biobjective TSP" (2004).

    Args:
        starts: random architectures at every start.
        batch: neighbours measured before it looks again.
        warm_start: a run's folder, whose front is measured first, or one of its CSV files.
    """

    def __init__(
        self, starts: PositiveInt = 10, batch: PositiveInt = 8, warm_start: str | None = None
    ) -> None:
        require_at_least("starts", starts, 1)
        require_at_least("batch", batch, 1)
        self.starts = starts
        self.batch = batch
        self.warm_start = warm_start

    def setup(self, problem: Problem) -> None:
        """Start anew."""
        self._ask_tell = AskTell(
            self._search(problem, warm_start_architectures(problem, self.warm_start, self.starts)),
            problem,
        )

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """What is left of the starts, or of the batch of neighbours, at most `n`."""
        return self._ask_tell.ask(n, pending)

    def tell(self, results: Sequence[Record]) -> None:
        """It moves once the whole batch is told."""
        self._ask_tell.tell(results)

    def _search(self, problem: Problem, first: list[Architecture]) -> Search:
        rng, space = np.random.default_rng(problem.seed), problem.space
        batch = fill_up(first, self.starts, problem.space, rng)
        seen, finished = set(batch), set()
        best: dict[Architecture, FloatArray] = {}
        while batch:
            values = yield batch
            best = _best(problem, best | dict(zip(batch, values, strict=True)))
            batch = []
            while not batch and (open_ := [arch for arch in best if arch not in finished]):
                arch = open_[int(rng.integers(len(open_)))]
                fresh = [a for a in space.neighbours(arch) if a not in seen]
                fresh = [fresh[i] for i in rng.permutation(len(fresh))]
                batch = [
                    fresh[i] for i in best_first(problem.candidate_scorer, fresh)[: self.batch]
                ]
                if len(batch) == len(fresh):
                    finished.add(arch)
            if not batch:
                best = {}
                batch = sampled(problem, self.starts, rng, seen)
            seen.update(batch)


def _best(
    problem: Problem, known: Mapping[Architecture, FloatArray]
) -> dict[Architecture, FloatArray]:
    """The non-dominated of the feasible; without any, the least infeasible; never one that failed."""
    values = np.array(list(known.values()))
    violation = problem.violation(values)
    least = violation.min()
    if np.isinf(least):
        return {}
    keep = nondominated(problem.losses(values), violation - least)
    return {arch: row for (arch, row), k in zip(known.items(), keep, strict=True) if k}
