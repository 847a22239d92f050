"""Cross-validation: every row predicted by a model that has not seen it."""

from __future__ import annotations

from copy import deepcopy

import numpy as np

from nasplug.contracts.predictor import Predictor
from nasplug.contracts.types import FloatArray, IntArray


def assign(n: int, folds: int, seed: int) -> IntArray:
    """The fold of each of `n` rows, shape (n,): random, of sizes that differ by at most one.

    A permutation modulo the number of folds; `min(folds, n)` folds are used.
    """
    return np.random.default_rng(seed).permutation(n) % min(folds, n)


def out_of_fold(
    predictor: Predictor, X: FloatArray, y: FloatArray, folds: int, seed: int = 0
) -> FloatArray:
    """The prediction of each row by a copy of `predictor` fitted to the other folds, shape (n,).

    Features `X` have shape (n, f), targets `y` (n,). With a single row, its own target.
    """
    X, y = np.asarray(X, float), np.asarray(y, float)
    fold = assign(len(y), folds, seed)
    predicted = y.copy()
    for k in range(int(fold.max()) + 1 if len(y) > 1 else 0):
        held = fold == k
        predicted[held] = deepcopy(predictor).fit(X[~held], y[~held]).predict(X[held])
    return predicted
