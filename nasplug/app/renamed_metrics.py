"""An evaluator whose metrics go by other names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, final

from nasplug.contracts.capabilities import ComputingEvaluator
from nasplug.contracts.errors import NasplugError, unknown
from nasplug.contracts.evaluator import Evaluator
from nasplug.contracts.types import (
    Architecture,
    Archs,
    FloatArray,
    Measurement,
    Metric,
    Outcome,
    Trial,
)

if TYPE_CHECKING:
    from torch import nn


@final
class RenamedMetrics(Evaluator):
    """`evaluator` with some metrics under names of the user's, such as a second device's latency.

    A renamed metric that the evaluator takes from the space is measured, never computed by a strategy:
    `SearchSpace.costs` does not know the name. What the evaluator computes itself stays computed.

    >>> RenamedMetrics(costs, {"latency": "phone_latency"})
    """

    def __init__(self, evaluator: Evaluator, names: Mapping[str, str]) -> None:
        known = evaluator.metrics
        if not isinstance(names, Mapping) or not all(isinstance(n, str) for n in names.values()):
            raise NasplugError(f"rename must map metrics to new names, but got {names!r}")
        for name in names:
            if name not in known:
                raise unknown("metric to rename", name, known)
        shown = [names.get(name, name) for name in known]
        for name in shown:
            if shown.count(name) > 1:
                raise NasplugError(
                    f"metrics must have names of their own, but two would be called {name!r}: "
                    f"rename={dict(names)}"
                )
        self.evaluator, self.names = evaluator, dict(names)
        own = isinstance(evaluator, ComputingEvaluator)
        self.closed_form = tuple(
            names.get(name, name) for name in evaluator.closed_form if own or name not in names
        )
        self.runs_alone = tuple(names.get(name, name) for name in evaluator.runs_alone)
        self.preferred_batch, self.partial_fidelity = (
            evaluator.preferred_batch,
            evaluator.partial_fidelity,
        )

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The evaluator's, in its order."""
        return {self.names.get(n, n): metric for n, metric in self.evaluator.metrics.items()}

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """What the evaluator computes itself, under the user's names."""
        if not isinstance(self.evaluator, ComputingEvaluator):
            return {}
        return {self.names.get(n, n): column for n, column in self.evaluator.costs(archs).items()}

    def prepare(self) -> None:
        """Prepare the evaluator."""
        self.evaluator.prepare()

    def evaluate(self, trials: Sequence[Trial], names: Sequence[str]) -> list[Outcome]:
        """Measure under the evaluator's names, and answer under the user's."""
        back = self._back(names)
        outcomes = self.evaluator.evaluate(trials, list(back))
        return [_named(outcome, back) for outcome in outcomes]

    def test_quality(self, arch: Architecture, names: Sequence[str]) -> dict[str, float]:
        """The evaluator's, under the user's names."""
        back = self._back(names)
        found = self.evaluator.test_quality(arch, list(back))
        return {back[name]: value for name, value in found.items() if name in back}

    def _back(self, names: Sequence[str]) -> dict[str, str]:
        """The evaluator's names of `names`, each to the user's."""
        own = {self.names.get(name, name): name for name in self.evaluator.metrics}
        return {own[name]: name for name in names}

    def network(self, arch: Architecture) -> nn.Module:
        """The evaluator's network."""
        return self.evaluator.network(arch)


def _named(outcome: Outcome, back: Mapping[str, str]) -> Outcome:
    if not isinstance(outcome, Measurement):
        return outcome
    values = {back.get(name, name): value for name, value in outcome.values.items()}
    std = {back.get(name, name): value for name, value in outcome.std.items()}
    return replace(outcome, values=values, std=std)
