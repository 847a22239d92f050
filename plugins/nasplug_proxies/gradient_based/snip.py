"""Connection sensitivity."""

from __future__ import annotations

from nasplug import ZeroCostProxy
from nasplug.contracts.probe import Probe


class Snip(ZeroCostProxy):
    """Sum over weights of |w dL/dw|: how the loss changes when each is taken out (Lee et al.,
    ICLR 2019)."""

    needs = ("gradients",)

    def score(self, probe: Probe) -> float:
        """One forward, one backward pass."""
        pairs = zip(probe.weights, probe.gradients, strict=True)
        return sum(float((weight.detach() * gradient).abs().sum()) for weight, gradient in pairs)
