"""Several evaluators as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, final

from nasplug.contracts.errors import unknown
from nasplug.contracts.evaluator import Evaluator
from nasplug.contracts.types import Architecture, Failure, Measurement, Metric, Outcome, Trial
from nasplug.engine.outcomes import plain_outcomes

if TYPE_CHECKING:
    from torch import nn


@final
class EvaluatorChain(Evaluator):
    """Several evaluators as one: the first that knows a metric measures it."""

    def __init__(self, evaluators: Sequence[Evaluator]) -> None:
        self.evaluators = tuple(evaluators)

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Every metric that one of them knows."""
        known: dict[str, Metric] = {}
        for evaluator in self.evaluators:
            for name, metric in evaluator.metrics.items():
                known.setdefault(name, metric)
        return known

    def restrict(self, names: Sequence[str]) -> EvaluatorChain:
        """The chain of those that `names` need; an unknown name is an error that lists the known."""
        return EvaluatorChain([evaluator for evaluator, _ in self._share(names)])

    @property
    def preferred_batch(self) -> int:  # type: ignore[override]
        """The smallest of theirs."""
        return min((e.preferred_batch for e in self.evaluators), default=1)

    @property
    def closed_form(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those metrics that the evaluator which measures them takes from the space."""
        return tuple(name for name, e in self._measures().items() if name in e.closed_form)

    @property
    def runs_alone(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those metrics that the evaluator which measures them measures alone."""
        return tuple(name for name, e in self._measures().items() if name in e.runs_alone)

    @property
    def partial_fidelity(self) -> bool:  # type: ignore[override]
        """Whether every one of them takes trials of a fidelity below 1."""
        return all(e.partial_fidelity for e in self.evaluators)

    def _measures(self) -> dict[str, Evaluator]:
        """Metric to the first evaluator that knows it."""
        return {name: e for e in reversed(self.evaluators) for name in e.metrics}

    def prepare(self) -> None:
        """Prepare each."""
        for evaluator in self.evaluators:
            evaluator.prepare()

    def evaluate(self, trials: Sequence[Trial], names: Sequence[str]) -> list[Outcome]:
        """Measure `names`, each by the first that knows it; one Failure fails the architecture."""
        outcomes: list[Outcome] = [Measurement({}) for _ in trials]
        for evaluator, share in self._share(names):
            left = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, Measurement)]
            returned = evaluator.evaluate([trials[i] for i in left], share)
            new = plain_outcomes(returned, share, len(left))
            for i, outcome in zip(left, new, strict=True):
                outcomes[i] = merge(outcomes[i], outcome)
        return outcomes

    def test_quality(self, arch: Architecture, names: Sequence[str]) -> dict[str, float]:
        """Those on test data, each of the one that measures it."""
        found: dict[str, float] = {}
        for evaluator, share in self._share(names):
            found |= evaluator.test_quality(arch, share)
        return found

    def network(self, arch: Architecture) -> nn.Module:
        """The first one's network."""
        return self.evaluators[0].network(arch)

    def _share(self, names: Sequence[str]) -> list[tuple[Evaluator, list[str]]]:
        left = list(dict.fromkeys(names))
        shares = []
        for evaluator in self.evaluators:
            known = evaluator.metrics if left else {}
            if mine := [name for name in left if name in known]:
                shares.append((evaluator, mine))
                left = [name for name in left if name not in known]
        if left:
            raise unknown("metric", left[0], self.metrics)
        return shares


def merge(old: Outcome, new: Outcome) -> Outcome:
    """One outcome of what was measured first and what was measured then."""
    seconds = old.seconds + new.seconds
    if isinstance(new, Failure) or isinstance(old, Failure):
        return Failure(new.error if isinstance(new, Failure) else "", seconds)
    load = new.load if old.load is None else old.load
    return Measurement({**old.values, **new.values}, seconds, {**old.std, **new.std}, load)
