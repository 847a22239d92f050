"""Correlation of input Jacobians within classes."""

from __future__ import annotations

import torch

from nasplug import PositiveFloat, ZeroCostProxy
from nasplug.contracts.probe import Probe


class EpeNas(ZeroCostProxy):
    """Within each class, s = sum of log(|C| + k), C being the correlation of its examples' Jacobians
    d(sum of outputs)/dx. The score is the sum of |s| over classes where the network tells at most
    100 apart, else the mean |s - s'| over pairs of classes (Lopes et al., ICANN 2021)."""

    needs = ("jacobian", "outputs", "classes")

    def __init__(self, k: PositiveFloat = 1e-5) -> None:
        self.k = k

    def score(self, probe: Probe) -> float:
        """One forward pass, one backward pass to the input."""
        jacobian, labels = probe.jacobian.double(), probe.classes
        sums = torch.stack([self._class(jacobian[labels == c]) for c in set(labels.tolist())])
        if probe.outputs.shape[-1] <= 100:
            return float(sums.abs().sum())
        pairs = torch.combinations(sums)
        return float((pairs[:, 0] - pairs[:, 1]).abs().mean())

    def _class(self, rows: torch.Tensor) -> torch.Tensor:
        return (torch.corrcoef(rows).abs() + self.k).log().sum()
