"""Sample-wise activation patterns."""

from __future__ import annotations

import math

import numpy as np
import torch

from nasplug import PositiveFloat, PositiveInt, ZeroCostProxy
from nasplug.contracts.probe import Probe
from nasplug.toolkit.networks.counting import parameters


class Swap(ZeroCostProxy):
    """The number of distinct rows among the activation units' patterns, a row being for which of the
    examples a unit is on; weights N(0, 1) (Peng et al., ICLR 2024; the paper averages 32 repeats)."""

    needs = ("patterns",)
    init = "normal"

    def __init__(self, samples: PositiveInt = 16) -> None:
        self.samples = samples

    def score(self, probe: Probe) -> float:
        """One forward pass; no labels."""
        return float(distinct_units(probe.patterns))


class SwapRegularised(ZeroCostProxy):
    """log of (swap score x exp(-(P - mu)^2 / sigma)), P being thousands of parameters (Peng et al.,
    ICLR 2024, definition 3.4): networks of about `mu` thousand parameters are preferred.

    `mu` and `sigma` belong to the space: set them to the size and to the (squared) range wanted.
    """

    needs = ("patterns",)
    init = "normal"

    def __init__(
        self, samples: PositiveInt = 16, mu: PositiveFloat = 1500.0, sigma: PositiveFloat = 1e6
    ) -> None:
        self.samples = samples
        self.mu = mu
        self.sigma = sigma

    def score(self, probe: Probe) -> float:
        """One forward pass; no labels."""
        size = parameters(probe.model) / 1000
        return math.log(distinct_units(probe.patterns)) - (size - self.mu) ** 2 / self.sigma


def distinct_units(patterns: list[torch.Tensor]) -> int:
    """How many different columns `patterns`, each bool of shape (b, units), have together."""
    units = np.concatenate([pattern.T.cpu().numpy() for pattern in patterns])
    packed = np.ascontiguousarray(np.packbits(units, axis=1))
    return len(np.unique(packed.view(np.dtype((np.void, packed.shape[1])))))
