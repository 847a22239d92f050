"""Connection sensitivity with its sign."""

from __future__ import annotations

from nasplug import ZeroCostProxy
from nasplug.contracts.probe import Probe


class Plain(ZeroCostProxy):
    """Sum over weights of w dL/dw (Mozer & Smolensky, NeurIPS 1988).

    Kept as published, though on NAS-Bench-201 it correlates negatively with accuracy.
    """

    needs = ("gradients",)

    def score(self, probe: Probe) -> float:
        """One forward, one backward pass."""
        pairs = zip(probe.weights, probe.gradients, strict=True)
        return sum(float((weight.detach() * gradient).sum()) for weight, gradient in pairs)
