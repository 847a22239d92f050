"""Stacking: a regression on what others predict."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Annotated, final

import numpy as np

from nasplug import Predictor, Range
from nasplug.contracts.types import FloatArray
from nasplug.toolkit.searching.folds import out_of_fold
from nasplug_predictors.targets import Scale


@final
class Stacked:
    """Several predictors, and a last one that learns from their cross-validated predictions.

    The DyNAS-T paper's choice for accuracies is ridge and SVR into ridge. Wolpert, "Stacked
    generalization" (1992).

    Args:
        predictors: the first layer.
        final: the last one; its features are the others' standardised predictions.
        folds: of the cross-validation.
    """

    def __init__(
        self,
        predictors: Sequence[Predictor],
        final: Predictor,
        folds: Annotated[int, Range(ge=2)] = 5,
    ) -> None:
        self.predictors = list(predictors)
        self.final = final
        self.folds = folds

    def fit(self, X: FloatArray, y: FloatArray) -> Stacked:
        """Learn from features (n, f) and targets (n,)."""
        self._scale = Scale.of(y)
        unseen = [out_of_fold(p, X, y, self.folds) for p in self.predictors]
        self._layer = [deepcopy(p).fit(X, y) for p in self.predictors]
        self._last = deepcopy(self.final).fit(self._columns(unseen), y)
        return self

    def predict(self, X: FloatArray) -> FloatArray:
        """Predicted targets, shape (n,)."""
        said: FloatArray = self._last.predict(self._columns([p.predict(X) for p in self._layer]))
        return said

    def _columns(self, predictions: Sequence[FloatArray]) -> FloatArray:
        return np.column_stack([self._scale.apply(p) for p in predictions])
