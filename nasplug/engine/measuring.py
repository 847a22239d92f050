"""A batch measured: what measures time alone, the rest as the executor likes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from typing import final

from nasplug.contracts.executor import Executor
from nasplug.contracts.types import Failure, Measurement, Outcome, Trial
from nasplug.engine.evaluator_chain import merge
from nasplug.engine.safe_evaluation import SafeEvaluation
from nasplug.toolkit.system.batches import chunks

log = logging.getLogger("nasplug")
SHORT = 0.1
"""Seconds that the load must be counted over to say anything."""
SLICE = 8
"""Tasks a worker, after which the metrics that run alone are measured: a kill loses no more."""


@final
class Measuring:
    """Measures every architecture with `measure` through `executor`, in the order of arrival.

    Metrics that run alone are measured once the others of a few architectures are in, one architecture
    at a time, with no other evaluation under way; an architecture has one outcome all the same.
    """

    def __init__(self, measure: SafeEvaluation, executor: Executor) -> None:
        chain, self._executor = measure.evaluator, executor
        alone = [name for name in measure.names if name in chain.runs_alone]
        rest = [name for name in measure.names if name not in alone]
        self._names, self._warned = measure.names, False
        self._alone = SafeEvaluation(chain.restrict(alone), tuple(alone), alone=True)
        self._rest = SafeEvaluation(chain.restrict(rest), tuple(rest)) if alone else measure

    def __call__(self, trials: Sequence[Trial]) -> Iterator[tuple[int, Outcome]]:
        """(position, outcome) of each of `trials`."""
        preferred_batch = self._rest.evaluator.preferred_batch
        if not self._alone.names:
            yield from self._executor.run(self._rest, trials, preferred_batch)
            return
        workers = self._executor.workers
        for places in chunks(
            len(trials), preferred_batch if workers == 1 else preferred_batch * workers * SLICE
        ):
            some = [trials[i] for i in places]
            found: dict[int, Outcome] = {}
            if self._rest.names:
                found = dict(self._executor.run(self._rest, some, preferred_batch))
            for k, i in enumerate(places):
                outcome = found.get(k, Measurement({}))
                yield i, outcome if isinstance(outcome, Failure) else self._timed(outcome, some[k])

    def _timed(self, first: Measurement, trial: Trial) -> Outcome:
        ((_, second),) = self._executor.run(self._alone, [trial], 1)
        outcome = merge(first, second)
        if isinstance(outcome, Failure):
            return outcome
        if outcome.seconds > SHORT:
            self._warn(outcome.load or 0.0)
        values = {name: outcome.values[name] for name in self._names}
        return Measurement(values, outcome.seconds, outcome.std, outcome.load)

    def _warn(self, load: float) -> None:
        cores = os.cpu_count() or 1
        if load > cores / 2 and not self._warned:
            self._warned = True
            log.warning(
                "%s may be too long: while measuring it, other processes kept %.1f of %d cores busy",
                " and ".join(self._alone.names), load, cores,
            )  # fmt: skip
