"""Predictor: scikit-learn's own contract."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from nasplug.contracts.types import FloatArray


@runtime_checkable
class Predictor(Protocol):
    """Learns a metric from features; any scikit-learn regressor is one.

    Order of calls: `fit` on everything measured so far, then `predict` for many candidates; `fit`
    again forgets what was learnt before. It is deterministic: randomness comes from a
    `random_state` argument of its constructor.
    """

    def fit(self, X: FloatArray, y: FloatArray) -> Any:
        """Learn from features of shape (n, f) and targets of shape (n,); returns itself."""

    def predict(self, X: FloatArray) -> FloatArray:
        """Predicted targets, shape (n,). Predictors that know their uncertainty also take
        `return_std=True` and then return (mean, standard deviation), both of shape (n,)."""
