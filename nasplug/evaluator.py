"""Evaluator: what measures architectures, and the chain of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, final

from nasplug.errors import NasplugError, unknown
from nasplug.types import Architecture, Failure, Measurement, Metric, Outcome

if TYPE_CHECKING:
    from torch import nn


class Evaluator(ABC):
    """Measures metrics of architectures.

    Order of calls: `metrics` when a run is set up; `prepare` once, before the first measurement,
    and only if one of its metrics is wanted; `evaluate` for every batch, possibly in another
    process, to which the evaluator is pickled (so what cannot be pickled is loaded when first
    needed). The same architecture always gets the same values, in any order and any batch, wall-clock
    metrics aside.
    """

    computed: tuple[str, ...] = ()
    """Metrics that it takes from `SearchSpace.costs`: a strategy may compute them itself."""

    chunk: int = 1
    """How many architectures `evaluate` is best given at a time. Results are saved chunk by chunk:
    1 where one takes long."""

    @property
    @abstractmethod
    def metrics(self) -> Mapping[str, Metric]:
        """What it can measure, the main one first."""

    @abstractmethod
    def evaluate(self, archs: Sequence[Architecture], names: Sequence[str]) -> list[Outcome]:
        """Measure `names` of every architecture, in order; a Failure where one cannot be measured."""

    def prepare(self) -> None:
        """The long work that all measurements share, such as training a super-network, done once."""
        return None

    def network(self, arch: Architecture) -> nn.Module:
        """The network that was measured, weights and all, in evaluation mode on the CPU."""
        raise NasplugError(
            f"{type(self).__name__} measures without trained weights, so there is no network to export"
        )


@final
class Chain(Evaluator):
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

    def restrict(self, names: Sequence[str]) -> Chain:
        """The chain of those that `names` need; an unknown name is an error that lists the known."""
        return Chain([evaluator for evaluator, _ in self._share(names)])

    @property
    def chunk(self) -> int:  # type: ignore[override]
        """The smallest of theirs."""
        return min((e.chunk for e in self.evaluators), default=1)

    @property
    def computed(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those metrics that the evaluator which measures them takes from the space."""
        measures = {name: e for e in reversed(self.evaluators) for name in e.metrics}
        return tuple(name for name, e in measures.items() if name in e.computed)

    def prepare(self) -> None:
        """Prepare each."""
        for evaluator in self.evaluators:
            evaluator.prepare()

    def evaluate(self, archs: Sequence[Architecture], names: Sequence[str]) -> list[Outcome]:
        """Measure `names`, each by the first that knows it; one Failure fails the architecture."""
        outcomes: list[Outcome] = [Measurement({}) for _ in archs]
        for evaluator, share in self._share(names):
            left = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, Measurement)]
            new = evaluator.evaluate([archs[i] for i in left], share)
            for i, outcome in zip(left, new, strict=True):
                outcomes[i] = _merge(outcomes[i], outcome)
        return outcomes

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


def _merge(old: Outcome, new: Outcome) -> Outcome:
    seconds = old.seconds + new.seconds
    if isinstance(new, Failure) or isinstance(old, Failure):
        return Failure(new.error if isinstance(new, Failure) else "", seconds)
    return Measurement({**old.values, **new.values}, seconds, {**old.spread, **new.spread})
