"""Gradient boosting."""

from __future__ import annotations

from typing import Annotated, final

from sklearn.ensemble import HistGradientBoostingRegressor

from nasplug import NonNegativeFloat, PositiveInt, Range
from nasplug.contracts.types import FloatArray
from nasplug_predictors.targets import Scale


@final
class Boosting:
    """Boosted regression trees on standardised targets, grown on histograms of the features.

    Args:
        trees: how many.
        rate: how much of what is left each tree learns.
        depth: of a tree.
        leaf: examples in a leaf at least.
        penalty: on squared leaf values.
    """

    def __init__(
        self,
        trees: PositiveInt = 200,
        rate: Annotated[float, Range(gt=0, le=1)] = 0.1,
        depth: PositiveInt = 3,
        leaf: PositiveInt = 5,
        penalty: NonNegativeFloat = 1.0,
    ) -> None:
        self.trees = trees
        self.rate = rate
        self.depth = depth
        self.leaf = leaf
        self.penalty = penalty

    def fit(self, X: FloatArray, y: FloatArray) -> Boosting:
        """Learn from features (n, f) and targets (n,)."""
        self._scale = Scale.of(y)
        self._model = HistGradientBoostingRegressor(
            max_iter=self.trees,
            learning_rate=self.rate,
            max_depth=self.depth,
            min_samples_leaf=self.leaf,
            l2_regularization=self.penalty,
            early_stopping=False,
            random_state=0,
        )
        self._model.fit(X, self._scale.apply(y))
        return self

    def predict(self, X: FloatArray) -> FloatArray:
        """Predicted targets, shape (n,)."""
        return self._scale.back(self._model.predict(X))
