"""The size of a network as its score: what every proxy has to beat."""

from __future__ import annotations

from nasplug import ZeroCostProxy
from nasplug.contracts.probe import Probe
from nasplug.toolkit.networks.counting import multiply_adds, parameters


class Params(ZeroCostProxy):
    """The number of parameters."""

    input = "none"

    def score(self, probe: Probe) -> float:
        """No pass."""
        return float(parameters(probe.model))


class Flops(ZeroCostProxy):
    """Multiply-adds of one example, which the field calls FLOPs."""

    input = "gaussian"
    samples = 1
    training = False

    def score(self, probe: Probe) -> float:
        """One forward pass."""
        return float(multiply_adds(probe.model, probe.inputs))
