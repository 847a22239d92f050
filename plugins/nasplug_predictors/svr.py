"""Support vector regression."""

from __future__ import annotations

from typing import Literal, final

import numpy as np
import sklearn.svm

from nasplug import NonNegativeFloat, PositiveFloat
from nasplug.contracts.types import FloatArray
from nasplug_predictors.kernels import rbf
from nasplug_predictors.targets import Scale


@final
class SVR:
    """Epsilon support vector regression.

    Args:
        kernel: "rbf" or "linear".
        C: weight of errors against smoothness.
        epsilon: errors up to this size are free.
        gamma: of the RBF kernel: "scale" (1 / (features * their variance)), "auto" (1 / features),
            or a number.
        standardise: whether C and epsilon are meant for targets of standard deviation 1, or as they
            are.
    """

    def __init__(
        self,
        kernel: Literal["rbf", "linear"] = "rbf",
        C: PositiveFloat = 10.0,
        epsilon: NonNegativeFloat = 0.01,
        gamma: Literal["scale", "auto"] | PositiveFloat = "scale",
        standardise: bool = True,
    ) -> None:
        self.kernel = kernel
        self.C = C
        self.epsilon = epsilon
        self.gamma = gamma
        self.standardise = standardise

    def fit(self, X: FloatArray, y: FloatArray) -> SVR:
        """Learn from features (n, f) and targets (n,)."""
        self._scale = Scale.of(y) if self.standardise else Scale(0.0, 1.0)
        model = sklearn.svm.SVR(
            kernel=self.kernel, C=self.C, epsilon=self.epsilon, gamma=self._number(X)
        )
        model.fit(X, self._scale.apply(y))
        self._vectors: FloatArray = model.support_vectors_
        self._weights: FloatArray = model.dual_coef_[0]
        self._bias = float(model.intercept_[0])
        self._gamma = self._number(X)
        return self

    def _number(self, X: FloatArray) -> float:
        if self.gamma == "scale":
            variance = float(np.var(X))
            return 1.0 / (X.shape[1] * variance) if variance > 0 else 1.0
        return 1.0 / X.shape[1] if self.gamma == "auto" else float(self.gamma)

    def predict(self, X: FloatArray) -> FloatArray:
        """Predicted targets, shape (n,)."""
        X = np.asarray(X, float)
        if self.kernel == "linear":
            z = X @ (self._weights @ self._vectors)
        else:
            z = rbf(X, self._vectors, self._gamma) @ self._weights
        return self._scale.back(z + self._bias)
