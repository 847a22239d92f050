"""Targets at one scale, whatever their unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nasplug.contracts.types import FloatArray


@dataclass(frozen=True)
class Scale:
    """The mean and the standard deviation of targets; a deviation of 1 where they are all equal.

    >>> scale = Scale.of(y)
    >>> np.allclose(scale.back(scale.apply(y)), y)
    """

    mean: float
    deviation: float

    @staticmethod
    def of(y: FloatArray) -> Scale:
        """The scale of targets of shape (n,), n at least 1."""
        deviation = float(np.std(y))
        tiny = 1e-12 * float(np.max(np.abs(y)))
        return Scale(float(np.mean(y)), deviation if deviation > tiny else 1.0)

    def apply(self, y: FloatArray) -> FloatArray:
        """Targets with mean 0 and deviation 1, shape (n,)."""
        return (np.asarray(y, float) - self.mean) / self.deviation

    def back(self, z: FloatArray) -> FloatArray:
        """The inverse of `apply`."""
        return np.asarray(z, float) * self.deviation + self.mean
