"""Any scikit-learn regressor, by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from sklearn.base import RegressorMixin

from nasplug import NasplugError, import_allowed
from nasplug.contracts.types import FloatArray
from nasplug_predictors.targets import Scale


@final
class SklearnRegressor:
    """A scikit-learn regressor on standardised targets.

    Args:
        regressor: its class, as one would import it.
        arguments: of its constructor; a `random_state` belongs here.

    >>> SklearnRegressor("sklearn.ensemble.RandomForestRegressor", {"random_state": 0})
    """

    def __init__(
        self,
        regressor: str = "sklearn.linear_model.BayesianRidge",
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self.regressor = regressor
        self.arguments = dict(arguments or {})
        try:
            self._make()
        except TypeError as error:
            raise NasplugError(f"arguments must fit {regressor}, but {error}") from None

    def _make(self) -> Any:
        try:
            kind = import_allowed(self.regressor, known=["sklearn"])
        except (ImportError, AttributeError, ValueError):
            kind = None
        if not (isinstance(kind, type) and issubclass(kind, RegressorMixin)):
            raise NasplugError(
                "regressor must be a scikit-learn regressor, e.g. "
                f"sklearn.ensemble.RandomForestRegressor, but got {self.regressor!r}"
            )
        return kind(**self.arguments)

    def fit(self, X: FloatArray, y: FloatArray) -> SklearnRegressor:
        """Learn from features (n, f) and targets (n,)."""
        self._scale = Scale.of(y)
        self._model = self._make().fit(X, self._scale.apply(y))
        return self

    def predict(self, X: FloatArray) -> FloatArray:
        """Predicted targets, shape (n,)."""
        return self._scale.back(self._model.predict(X))
