"""Correlation of the examples' input Jacobians."""

from __future__ import annotations

import torch

from nasplug import PositiveFloat, ZeroCostProxy
from nasplug.contracts.probe import Probe


class JacobCov(ZeroCostProxy):
    """-sum_i (log(v_i + k) + 1 / (v_i + k)), v being the eigenvalues of the correlation of the
    examples' Jacobians d(sum of outputs)/dx (Mellor et al., arXiv 2006.04647 version 1).

    Largest, -b for b examples, where they are uncorrelated: the network can tell them apart.
    """

    needs = ("jacobian",)

    def __init__(self, k: PositiveFloat = 1e-5) -> None:
        self.k = k

    def score(self, probe: Probe) -> float:
        """One forward pass, one backward pass to the input; no labels."""
        correlation = torch.corrcoef(probe.jacobian.double())
        if not correlation.isfinite().all():  # an example that nothing depends on
            return float("nan")
        values = torch.linalg.eigvalsh(correlation) + self.k
        return -float((values.log() + 1 / values).sum())
