"""Gaussian process regression."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from nasplug import PositiveInt, at_least
from nasplug.contracts.types import FloatArray
from nasplug_predictors.kernels import squared_distances
from nasplug_predictors.targets import Scale

PRIOR_MEAN = np.array([-1.0, -7.0, -1.0, 0.5, -1.0, 0.5, -5.0])
"""Logarithms of what is likeliest before anything is seen: the linear share, that of the pairs, share
and length of the first smooth part and of the second, the noise variance. Targets have variance 1,
features a mean squared norm of 1 or so."""

PRIOR_STD = np.array([2.0, 2.0, 2.0, 1.0, 2.0, 1.0, 1.5])
"""Standard deviations of these logarithms: a prior so weak that a few dozen rows overrule it."""

JITTER = 1e-6

PRECISION = 1e-5
"""The optimisation ends where a step gains no larger share of the likelihood's logarithm: what is
predicted then lies within a thousandth of its range of where it would end."""

Views = tuple[FloatArray, FloatArray]
"""Features as they are weighted, and with columns of equal range; each of shape (n, f)."""


@final
class GaussianProcess:
    """A quadratic function plus two smooth deviations from it, each part as large as the data say.

    The kernel is a * x.x' + q * (x.x')^2 / 2 + b * exp(-|x - x'|^2 / 2 l^2) +
    c * exp(-|u - u'|^2 / 2 m^2) + noise, where u are the features x with every column scaled to the
    range that it was seen to have. Main effects dominate in architectures, so the linear part learns
    from few examples, and the quadratic one how pairs of them add up; the smooth parts learn the
    other interactions, one as the features are weighted, one of those to which they give little
    weight. a, q, b, l, c, m and the noise maximise the marginal likelihood times a weak prior
    (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, chapters 4 and 5). It
    knows its uncertainty.

    Args:
        iterations: steps of the optimisation at most.
        rows: shares, lengths and noise are fitted to at most so many rows, evenly chosen; the
            predictions use all.
    """

    def __init__(self, iterations: PositiveInt = 60, rows: PositiveInt = 400) -> None:
        at_least("iterations of gp", iterations, 1)
        at_least("rows of gp", rows, 1)
        self.iterations = iterations
        self.rows = rows

    def fit(self, X: FloatArray, y: FloatArray) -> GaussianProcess:
        """Learn from features (n, f) and targets (n,)."""
        X = np.asarray(X, float)
        self._scale = Scale.of(y)
        self._centre = X.mean(axis=0)
        span = np.ptp(X, axis=0)
        varied = span > 1e-12 * np.abs(X).max(initial=0.0)
        even = np.where(varied, 1.0 / np.where(varied, span, 1.0), 0.0)
        rows = X - self._centre
        self._factors = 1.0 / _size(rows), even / _size(rows * even)
        self._views, z = self._viewed(X), self._scale.apply(y)
        some = np.unique(np.linspace(0, len(X) - 1, min(self.rows, len(X))).astype(int))
        weighted, evened = self._views
        self._shares = self._likeliest((weighted[some], evened[some]), z[some])
        noise = float(np.exp(self._shares[-1])) + JITTER
        self._root = _root(self._kernel(self._views, self._views), noise)
        self._weights: FloatArray = cho_solve((self._root, True), z)
        return self

    def predict(self, X: FloatArray, return_std: bool = False) -> Any:
        """Predicted targets, shape (n,); with `return_std` also their standard deviations (n,),
        without noise."""
        views = self._viewed(np.asarray(X, float))
        kernel = self._kernel(views, self._views)
        mean = self._scale.back(kernel @ self._weights)
        if not return_std:
            return mean
        linear, pairs, first, _, second, _, _ = np.exp(self._shares)
        seen = solve_triangular(self._root, kernel.T, lower=True, check_finite=False)
        squares = np.einsum("ij,ij->i", views[0], views[0])
        variance = squares * (linear + pairs / 2 * squares) + first + second
        variance -= np.einsum("ij,ij->j", seen, seen)
        return mean, np.sqrt(np.maximum(variance, 0.0)) * self._scale.deviation

    def _viewed(self, X: FloatArray) -> Views:
        rows = X - self._centre
        weighted, even = self._factors
        return rows * weighted, rows * even

    def _kernel(self, a: Views, b: Views) -> FloatArray:
        linear, pairs, first, length, second, reach, _ = np.exp(self._shares)
        products, *distances = _compared(a, b)
        kernel: FloatArray = products * (linear + pairs / 2 * products)
        for share, far, distance in zip((first, second), (length, reach), distances, strict=True):
            kernel += share * _smooth(distance, far)
        return kernel

    def _likeliest(self, views: Views, z: FloatArray) -> FloatArray:
        """Logarithms of a, q, b, l, c, m and the noise."""
        products, near, even = _compared(views, views)
        paired = products**2 / 2
        eye = np.eye(len(z))

        def loss(shares: FloatArray) -> tuple[float, FloatArray]:
            """Negative log of likelihood times prior, and its gradient, shape (7,)."""
            linear, pairs, first, length, second, reach, noise = np.exp(shares)
            parts = [
                linear * products,
                pairs * paired,
                first * _smooth(near, length),
                second * _smooth(even, reach),
            ]
            try:
                root = cholesky(sum(parts) + (noise + JITTER) * eye, lower=True)
            except LinAlgError:
                return 1e10, np.zeros(7)
            inverse = _inverse(root)
            weights = inverse @ z
            outer = inverse - np.outer(weights, weights)
            slopes = [outer * part for part in parts]
            slope = [
                slopes[0].sum(),
                slopes[1].sum(),
                slopes[2].sum(),
                np.vdot(slopes[2], near) / length**2,
                slopes[3].sum(),
                np.vdot(slopes[3], even) / reach**2,
                np.trace(outer) * noise,
            ]
            doubt = (shares - PRIOR_MEAN) / PRIOR_STD
            value = 0.5 * float(z @ weights) + float(np.log(np.diag(root)).sum())
            return value + 0.5 * float(doubt @ doubt), np.array(slope) / 2 + doubt / PRIOR_STD

        found = minimize(
            loss,
            PRIOR_MEAN,
            jac=True,
            method="L-BFGS-B",
            bounds=np.column_stack([PRIOR_MEAN - 6 * PRIOR_STD, PRIOR_MEAN + 6 * PRIOR_STD]),
            options={"maxiter": self.iterations, "ftol": PRECISION},
        )
        shares: FloatArray = found.x
        return shares


def _size(rows: FloatArray) -> float:
    """The root of the mean squared norm of `rows` (n, f); 1 where that is 0."""
    return float(np.sqrt(np.einsum("ij,ij->", rows, rows) / len(rows))) or 1.0


def _compared(a: Views, b: Views) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Products of the weighted features, and squared distances by either view; (len(a), len(b))."""
    products = a[0] @ b[0].T
    return products, squared_distances(a[0], b[0], products), squared_distances(a[1], b[1])


def _smooth(distances: FloatArray, length: float) -> FloatArray:
    """The RBF kernel of squared `distances`."""
    kernel = distances * (-0.5 / length**2)
    return np.exp(kernel, out=kernel)


def _inverse(root: FloatArray) -> FloatArray:
    """The inverse of root @ root.T, of a lower Cholesky factor (n, n)."""
    lower, _ = dpotri(root, lower=1)
    full: FloatArray = lower + np.tril(lower, -1).T
    return full


def _root(kernel: FloatArray, noise: float) -> FloatArray:
    """The lower Cholesky factor of `kernel` + `noise` on its diagonal, shape (n, n); with ten times
    the noise for as long as rounding leaves it indefinite."""
    eye = np.eye(len(kernel))
    while True:
        try:
            return np.asarray(cholesky(kernel + noise * eye, lower=True), float)
        except LinAlgError:
            noise *= 10.0
