"""Gaussian process regression."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from nasplug import at_least
from nasplug.types import FloatArray
from nasplug_predictors.kernels import squared_distances
from nasplug_predictors.targets import Scale

EXPECTED = np.array([-1.0, -1.0, 0.5, -5.0])
"""Logarithms of the linear share, the RBF share, the RBF length and the noise variance that are
likeliest before anything is seen; targets have variance 1, features a mean squared norm of 1 or so."""

DOUBT = np.array([2.0, 2.0, 1.0, 1.5])
"""Standard deviations of these logarithms: a prior so weak that a few dozen rows overrule it."""

JITTER = 1e-6


@final
class GaussianProcess:
    """A linear function plus a smooth deviation from it, each as large as the data say.

    The kernel is a * x.x' + b * exp(-|x - x'|^2 / 2 l^2) + noise. Main effects dominate in
    architectures, so the linear part learns from few examples; the RBF part learns the
    interactions. a, b, l and the noise maximise the marginal likelihood times a weak prior
    (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, chapter 5). It knows
    its uncertainty.

    Args:
        iterations: steps of the optimisation at most.
        rows: a, b, l and the noise are fitted to at most so many rows, evenly chosen; the
            predictions use all.
    """

    def __init__(self, iterations: int = 60, rows: int = 400) -> None:
        at_least("iterations of gp", iterations, 1)
        at_least("rows of gp", rows, 1)
        self.iterations = iterations
        self.rows = rows

    def fit(self, X: FloatArray, y: FloatArray) -> GaussianProcess:
        """Learn from features (n, f) and targets (n,)."""
        X = np.asarray(X, float)
        self._scale = Scale.of(y)
        self._centre = X.mean(axis=0)
        self._size = float(np.sqrt(((X - self._centre) ** 2).sum(axis=1).mean())) or 1.0
        self._X, z = self._scaled(X), self._scale.apply(y)
        some = np.unique(np.linspace(0, len(X) - 1, min(self.rows, len(X))).astype(int))
        self._shares = self._likeliest(self._X[some], z[some])
        noise = float(np.exp(self._shares[3])) + JITTER
        self._root = _root(self._kernel(self._X, self._X), noise)
        self._weights: FloatArray = cho_solve((self._root, True), z)
        return self

    def predict(self, X: FloatArray, return_std: bool = False) -> Any:
        """Predicted targets, shape (n,); with `return_std` also their standard deviations (n,),
        without noise."""
        rows = self._scaled(np.asarray(X, float))
        kernel = self._kernel(rows, self._X)
        mean = self._scale.back(kernel @ self._weights)
        if not return_std:
            return mean
        linear, smooth, _, _ = np.exp(self._shares)
        seen = solve_triangular(self._root, kernel.T, lower=True, check_finite=False)
        variance = linear * (rows * rows).sum(axis=1) + smooth - (seen * seen).sum(axis=0)
        return mean, np.sqrt(np.maximum(variance, 0.0)) * self._scale.deviation

    def _scaled(self, X: FloatArray) -> FloatArray:
        return (X - self._centre) / self._size

    def _kernel(self, a: FloatArray, b: FloatArray) -> FloatArray:
        linear, smooth, length, _ = np.exp(self._shares)
        return linear * (a @ b.T) + smooth * np.exp(squared_distances(a, b) / (-2 * length**2))

    def _likeliest(self, X: FloatArray, z: FloatArray) -> FloatArray:
        """Logarithms of a, b, l and the noise."""
        products, distances = X @ X.T, squared_distances(X, X)
        eye = np.eye(len(X))

        def loss(shares: FloatArray) -> tuple[float, FloatArray]:
            """Negative log of likelihood times prior, and its gradient, shape (4,)."""
            linear, smooth, length, noise = np.exp(shares)
            first = linear * products
            second = smooth * np.exp(distances / (-2 * length**2))
            try:
                root = cholesky(first + second + (noise + JITTER) * eye, lower=True)
            except LinAlgError:
                return 1e10, np.zeros(4)
            inverse = cho_solve((root, True), eye)
            weights = inverse @ z
            outer = inverse - np.outer(weights, weights)
            parts = (first, second, second * distances / length**2)
            slope = [float((outer * part).sum()) / 2 for part in parts]
            slope.append(float(np.trace(outer)) * noise / 2)
            doubt = (shares - EXPECTED) / DOUBT
            value = 0.5 * float(z @ weights) + float(np.log(np.diag(root)).sum())
            return value + 0.5 * float(doubt @ doubt), np.array(slope) + doubt / DOUBT

        found = minimize(
            loss,
            EXPECTED,
            jac=True,
            method="L-BFGS-B",
            bounds=np.column_stack([EXPECTED - 6 * DOUBT, EXPECTED + 6 * DOUBT]),
            options={"maxiter": self.iterations},
        )
        shares: FloatArray = found.x
        return shares


def _root(kernel: FloatArray, noise: float) -> FloatArray:
    """The lower Cholesky factor of `kernel` + `noise` on its diagonal, shape (n, n); with ten times
    the noise for as long as rounding leaves it indefinite."""
    eye = np.eye(len(kernel))
    while True:
        try:
            return np.asarray(cholesky(kernel + noise * eye, lower=True), float)
        except LinAlgError:
            noise *= 10.0
