"""The norm of the gradient."""

from __future__ import annotations

from nasplug import ZeroCostProxy
from nasplug.contracts.probe import Probe


class GradNorm(ZeroCostProxy):
    """Sum over layers of the Euclidean norm of dL/dw (Abdelfattah et al., ICLR 2021)."""

    needs = ("gradients",)

    def score(self, probe: Probe) -> float:
        """One forward, one backward pass."""
        return sum(float(gradient.norm()) for gradient in probe.gradients)
