"""Strategies `spos` and `random_one_shot`: a search on weights that were trained path by path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

import numpy as np

from nasplug import (
    NonNegativeInt,
    PositiveInt,
    Problem,
    SearchSpace,
    Strategy,
    progress,
    require_at_least,
    seeded,
)
from nasplug.contracts.types import Architecture, FloatArray, IntArray, Record, Trial
from nasplug.toolkit.searching.ask_tell import AskTell
from nasplug.toolkit.searching.search_on_predictions import search_on_predictions
from nasplug_oneshot.cost_sweep import opening
from nasplug_oneshot.costs import Costs
from nasplug_oneshot.inherited_quality import Inherited
from nasplug_oneshot.proposals import Batches, nonempty, the_rest
from nasplug_oneshot.ranking import by_fronts
from nasplug_oneshot.shared_weights import SharedWeights, Training, the_task


@final
class SinglePath(Strategy):
    """Shared weights learn along uniformly random paths; then any strategy searches on them.

    A step trains one path, every variable drawn uniformly. Then `inner` asks for `evaluations`
    architectures, which are measured with inherited weights (batch-norm statistics estimated anew),
    whatever the objectives and limits. They are proposed front by front, from the best down. Source:
    Guo et al., "Single path one-shot neural architecture search with uniform sampling" (ECCV 2020);
    with a random `inner`: Li, Talwalkar, "Random search and reproducibility for NAS" (UAI 2019).

    Metrics that neither the task nor the space gives, such as latency, are learnt from the `first`
    random architectures, which are then measured before anything else.

    Args:
        inner: the strategy that searches with inherited weights.
        training: of the shared weights.
        evaluations: architectures measured with inherited weights.
        first: how many are measured first, where costs must be learnt.
        derived: how many of the best are proposed at a time.
        device: of the training; auto, cpu, cuda, ..
    """

    def __init__(
        self,
        inner: Strategy,
        training: Training,
        evaluations: PositiveInt = 300,
        first: NonNegativeInt = 12,
        derived: PositiveInt = 8,
        device: str = "auto",
    ) -> None:
        require_at_least("strategy.evaluations", evaluations, 1)
        require_at_least("strategy.first", first, 0)
        require_at_least("strategy.derived", derived, 1)
        self.inner = inner
        self.training = training
        self.evaluations = evaluations
        self.first = first
        self.derived = derived
        self.device = device

    def setup(self, problem: Problem) -> None:
        """Start anew; an error without a task, or if the inner search cannot solve such a problem."""
        self._costs = Costs(problem, tuple(the_task(problem).metrics))
        self._problem = problem
        self.inner.setup(replace(problem, budget=self.evaluations))
        self._ask_tell = AskTell(nonempty(self._batches(problem)), problem)

    def ask(self, n: int, pending: Sequence[Trial] = ()) -> Sequence[Trial]:
        """What is left of the batch, at most `n`; trains when first asked."""
        return self._ask_tell.ask(n, pending)

    def tell(self, results: Sequence[Record]) -> None:
        """Costs are learnt from."""
        self._ask_tell.tell(results)
        self._costs.tell([result.arch for result in results], self._problem.values(results))

    def train(self, problem: Problem, seed: int) -> SharedWeights:
        """The shared weights, trained."""
        shared = SharedWeights(problem, self.training, self.device, seed)
        rng = np.random.default_rng(seed)
        with seeded(seed), progress("training random paths", self.training.epochs) as bar:
            for epoch in range(self.training.epochs):
                losses = []
                for _, batch in shared.batches(epoch):
                    shared.supernet.activate(random_path(problem.space, rng))
                    losses.append(shared.step(batch))
                bar.advance(1, loss=f"{np.mean(losses):.3f}")
        return shared

    def _batches(self, problem: Problem) -> Batches:
        rng = np.random.default_rng(problem.seed)
        first = opening(problem, self._costs, self.first, rng)
        seen = set(first)
        yield first
        seed = int(rng.integers(2**31))
        inherited = Inherited(self.train(problem, seed))
        ranked = [a for a in self._search(problem, inherited, seed) if a not in seen]
        seen.update(ranked)
        for start in range(0, len(ranked), self.derived):
            yield ranked[start : start + self.derived]
        yield from the_rest(problem.space, seen, rng)

    def _search(self, problem: Problem, inherited: Inherited, seed: int) -> list[Architecture]:
        """Everything that the inner strategy asks for, by its inherited values, best first."""

        def predict(archs: IntArray) -> FloatArray:
            return self._values(problem, inherited, [tuple(row) for row in archs.tolist()])

        with progress("searching with shared weights", self.evaluations) as bar:
            archs, values = search_on_predictions(
                problem, self.inner, predict, self.evaluations, seed, bar.advance
            )
        order = by_fronts(problem.losses(values), problem.violation(values))
        return [tuple(row) for row in archs[order].tolist()]

    def _values(
        self, problem: Problem, inherited: Inherited, archs: list[Architecture]
    ) -> FloatArray:
        """Shape (n, metrics): quality as inherited, costs as known."""
        names = [name for name in problem.metrics if name in inherited.shared.task.metrics]
        columns = dict(zip(names, inherited.qualities(archs, names).T, strict=True))
        columns |= zip(self._costs.names, self._costs.values(archs).T, strict=True)
        return np.stack([columns[name] for name in problem.metrics], axis=1)


def random_path(space: SearchSpace, rng: np.random.Generator) -> Architecture:
    """A valid architecture, every variable drawn uniformly."""
    counts = [len(v.options) for v in space.variables]
    drawn = space.valid(rng.integers(0, counts, (1, len(counts))))
    return drawn[0] if drawn else tuple(space.sample(1, rng)[0].tolist())
