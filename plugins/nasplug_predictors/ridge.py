"""Ridge regression."""

from __future__ import annotations

from typing import final

import numpy as np
from scipy.linalg import solve

from nasplug import NasplugError, PositiveFloat
from nasplug.contracts.types import FloatArray
from nasplug_predictors.targets import Scale


@final
class Ridge:
    """Linear regression with a penalty `alpha` on squared weights; the intercept is free."""

    def __init__(self, alpha: PositiveFloat = 1.0) -> None:
        if alpha <= 0:
            raise NasplugError(f"alpha of ridge must be positive, but got {alpha}")
        self.alpha = alpha

    def fit(self, X: FloatArray, y: FloatArray) -> Ridge:
        """Learn from features (n, f) and targets (n,); in closed form, with the smaller of the
        systems of n and of f equations."""
        scale = Scale.of(y)
        centre = np.mean(X, axis=0)
        rows, z = np.asarray(X, float) - centre, scale.apply(y)
        n, f = rows.shape
        if n < f:
            system = rows @ rows.T
            system[np.diag_indices(n)] += self.alpha
            slope = rows.T @ solve(system, z, assume_a="pos")
        else:
            system = rows.T @ rows
            system[np.diag_indices(f)] += self.alpha
            slope = solve(system, rows.T @ z, assume_a="pos")
        self._slope: FloatArray = slope * scale.deviation
        self._intercept = scale.mean - float(centre @ self._slope)
        return self

    def predict(self, X: FloatArray) -> FloatArray:
        """Predicted targets, shape (n,)."""
        return np.asarray(X, float) @ self._slope + self._intercept
