"""An ensemble, which knows its uncertainty."""

from __future__ import annotations

from copy import deepcopy
from typing import Annotated, Any, final

import numpy as np

from nasplug import NasplugError, NonNegativeInt, Predictor, Range, at_least
from nasplug.contracts.types import FloatArray


@final
class Ensemble:
    """Copies of a predictor, each fitted to its own random share of the rows.

    Their mean is the prediction and their disagreement the uncertainty, whatever the predictor.
    Shares are drawn without replacement: a kernel method sees a row drawn twice as noise-free.
    Lakshminarayanan, Pritzel, Blundell, "Simple and scalable predictive uncertainty estimation"
    (2017), for networks.

    Args:
        predictor: what is copied.
        members: how many copies.
        share: of the rows that each sees, above 0, at most 1.
        seed: of the shares.
    """

    def __init__(
        self,
        predictor: Predictor,
        members: Annotated[int, Range(ge=2)] = 10,
        share: Annotated[float, Range(gt=0, le=1)] = 0.8,
        seed: NonNegativeInt = 0,
    ) -> None:
        at_least("members of ensemble", members, 2)
        if not 0 < share <= 1:
            raise NasplugError(f"share of ensemble must be in 0..1, but got {share}")
        self.predictor = predictor
        self.members = members
        self.share = share
        self.seed = seed

    def fit(self, X: FloatArray, y: FloatArray) -> Ensemble:
        """Learn from features (n, f) and targets (n,)."""
        X, y = np.asarray(X, float), np.asarray(y, float)
        rng = np.random.default_rng(self.seed)
        k = max(1, round(self.share * len(y)))
        shares = [np.sort(rng.permutation(len(y))[:k]) for _ in range(self.members)]
        self._fitted = [deepcopy(self.predictor).fit(X[rows], y[rows]) for rows in shares]
        return self

    def predict(self, X: FloatArray, return_std: bool = False) -> Any:
        """Predicted targets, shape (n,); with `return_std` also their standard deviations (n,)."""
        said = np.array([member.predict(X) for member in self._fitted])
        mean: FloatArray = said.mean(axis=0)
        return (mean, said.std(axis=0, ddof=1)) if return_std else mean
