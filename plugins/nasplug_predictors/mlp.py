"""A multilayer perceptron."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import final

from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from nasplug import NonNegativeFloat, NonNegativeInt, PositiveInt
from nasplug.contracts.types import FloatArray
from nasplug_predictors.targets import Scale


@final
class MLP:
    """Hidden layers of rectified linear units on standardised targets.

    For a hundred examples or so, which is what a search has, full-batch L-BFGS (`solver="lbfgs"`)
    fits in a fraction of the time that Adam needs.

    Args:
        hidden: units of each hidden layer.
        alpha: penalty on squared weights.
        solver: "lbfgs" or "adam".
        iterations: steps (lbfgs) or epochs (adam) at most.
        seed: of the initial weights.
    """

    def __init__(
        self,
        hidden: Sequence[PositiveInt] = (64, 64),
        alpha: NonNegativeFloat = 1.0,
        solver: str = "lbfgs",
        iterations: PositiveInt = 200,
        seed: NonNegativeInt = 0,
    ) -> None:
        self.hidden = list(hidden)
        self.alpha = alpha
        self.solver = solver
        self.iterations = iterations
        self.seed = seed

    def fit(self, X: FloatArray, y: FloatArray) -> MLP:
        """Learn from features (n, f) and targets (n,)."""
        self._scale = Scale.of(y)
        self._model = MLPRegressor(
            hidden_layer_sizes=tuple(self.hidden),
            solver=self.solver,
            alpha=self.alpha,
            max_iter=self.iterations,
            random_state=self.seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # `iterations` is the user's limit
            self._model.fit(X, self._scale.apply(y))
        return self

    def predict(self, X: FloatArray) -> FloatArray:
        """Predicted targets, shape (n,)."""
        return self._scale.back(self._model.predict(X))
