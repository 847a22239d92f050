"""How well a score orders architectures as their target does."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from nasplug import make
from nasplug.contracts.types import FloatArray

FOLDS = 5
"""In which predictors learn from all but one, and predict that."""


@dataclass(frozen=True)
class Correlation:
    """How a score of n architectures agrees with their target, both the higher the better.

    `low` and `high` bound Spearman's coefficient with 95 % confidence (Bonett and Wright 2000).
    `agreement` is the share of pairs with different targets that the score orders rightly, where
    equal scores count half. Among the tenth with the best targets, `top_spearman` is their
    coefficient, and `top_overlap` the share that is also among the tenth with the best scores.
    """

    score: str
    n: int
    spearman: float
    low: float
    high: float
    kendall: float
    agreement: float
    top_spearman: float
    top_overlap: float


def correlation(name: str, scores: FloatArray, target: FloatArray) -> Correlation:
    """Of `scores` with `target`, both of shape (n,); rows with NaN are left out. Coefficients are
    NaN where one of the two is constant."""
    from scipy.stats import kendalltau

    both = np.isfinite(scores) & np.isfinite(target)
    x, y = scores[both], target[both]
    if len(x) < 3:
        nothing = float("nan")
        return Correlation(name, len(x), *[nothing] * (len(fields(Correlation)) - 2))
    rho = _spearman(x, y)
    width = 1.96 * np.sqrt((1 + rho**2 / 2) / max(len(x) - 3, 1))
    low, high = np.tanh(np.arctanh(np.clip(rho, -1 + 1e-9, 1 - 1e-9)) + width * np.array([-1, 1]))
    top = max(round(len(x) / 10), 1)
    best = np.argsort(-y, kind="stable")[:top]
    chosen = np.argsort(-x, kind="stable")[:top]
    return Correlation(
        name,
        len(x),
        rho,
        float(low),
        float(high),
        float(kendalltau(x, y).statistic) if np.ptp(x) and np.ptp(y) else float("nan"),
        _agreement(x, y),
        _spearman(x[best], y[best]),
        len(np.intersect1d(best, chosen)) / top,
    )


def _spearman(x: FloatArray, y: FloatArray) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic) if np.ptp(x) and np.ptp(y) else float("nan")


def _agreement(x: FloatArray, y: FloatArray) -> float:
    right = pairs = 0.0
    for i in range(1, len(x)):
        order = np.sign(y[i] - y[:i])
        right += float((1 + order * np.sign(x[i] - x[:i]))[order != 0].sum()) / 2
        pairs += np.count_nonzero(order)
    return right / pairs if pairs else float("nan")


def cross_validated(name: str, features: FloatArray, target: FloatArray, seed: int) -> FloatArray:
    """What the choice `name` of the group `predictor` says of each row of `features`, (n, f), having
    learnt `target`, (n,), from the other folds; NaN where the target is."""
    found = np.full(len(target), np.nan)
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(np.isfinite(target)))
    for held in np.array_split(rows, min(FOLDS, len(rows))):
        rest = np.setdiff1d(rows, held)
        predictor = make("predictor", name)
        predictor.fit(features[rest], target[rest])
        found[held] = predictor.predict(features[held])
    return found
