"""The best of several, chosen by what they predict for rows that they have not seen."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from inspect import signature
from typing import Annotated, Any, final

import numpy as np
from scipy.stats import kendalltau

from nasplug import NasplugError, NonNegativeInt, Predictor, Range
from nasplug.contracts.types import FloatArray
from nasplug.toolkit.searching.folds import out_of_fold


@final
class Auto:
    """Of several predictors the one with the best cross-validated rank correlation, again each fit.

    Ranks, since a search asks which is better. Of equals the first is taken, so put the most trusted
    first. With fewer rows than `least` it is the first.

    Args:
        predictors: name to predictor.
        folds: of the cross-validation.
        least: rows below which there is nothing to choose by.
    """

    def __init__(
        self,
        predictors: Mapping[str, Predictor],
        folds: Annotated[int, Range(ge=2)] = 5,
        least: NonNegativeInt = 10,
    ) -> None:
        if not predictors:
            raise NasplugError("auto needs predictors to choose from, but got none")
        self.predictors = dict(predictors)
        self.folds = folds
        self.least = least

    def fit(self, X: FloatArray, y: FloatArray) -> Auto:
        """Choose, then learn from all of features (n, f) and targets (n,)."""
        self.chosen = next(iter(self.predictors))
        self.scores: dict[str, float] = {}
        if len(y) >= self.least and len(self.predictors) > 1 and np.ptp(y) > 0:
            for name, predictor in self.predictors.items():
                tau = kendalltau(out_of_fold(predictor, X, y, self.folds), y).statistic
                self.scores[name] = -1.0 if np.isnan(tau) else float(tau)
            self.chosen = max(self.scores, key=lambda name: self.scores[name])
        self._fitted = deepcopy(self.predictors[self.chosen]).fit(X, y)
        return self

    def predict(self, X: FloatArray, return_std: bool = False) -> Any:
        """What the chosen one predicts, shape (n,); with `return_std` also its standard deviations
        (n,), 0 where it does not know them."""
        if not return_std:
            return self._fitted.predict(X)
        if "return_std" in signature(self._fitted.predict).parameters:
            return self._fitted.predict(X, return_std=True)
        return self._fitted.predict(X), np.zeros(len(X))
