"""The norm of the weights."""

from __future__ import annotations

from nasplug import ZeroCostProxy
from nasplug.contracts.probe import Probe


class L2Norm(ZeroCostProxy):
    """Sum over layers of the Euclidean norm of the weights (Abdelfattah et al., ICLR 2021)."""

    input = "none"

    def score(self, probe: Probe) -> float:
        """No pass."""
        return sum(float(weight.detach().norm()) for weight in probe.weights)
