"""Predicted values of any architectures, from what LINAS has measured so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from inspect import signature
from typing import Any, final

import numpy as np

from nasplug import Predictor, Problem
from nasplug.contracts.types import Architecture, Archs, FloatArray
from nasplug.toolkit.searching import pareto
from nasplug_strategies.linas.features import Features

ROWS = 256
"""So few that what is computed of them stays in the processor's cache."""

MAX_RESIDUAL = 10.0
"""Larger standardised residuals are clipped: an ensemble whose members agree has a standard deviation
of 0, and would never be believed again."""


@final
class Model:
    """Values of any architectures: exact where the space computes them, else predicted.

    Each predicted metric has a copy of its predictor, fitted to `values` (n, metrics) measured of
    `archs`; rows of NaN are left out. The loss of a predicted objective is
    mean - optimism * std, `optimism` of shape (metrics,), where the predictor knows its standard
    deviation; metrics that only constraints name get the mean.
    """

    def __init__(
        self,
        problem: Problem,
        features: Features | None,
        predictors: Mapping[str, Predictor],
        archs: Sequence[Architecture],
        values: FloatArray,
        optimism: FloatArray | None = None,
    ) -> None:
        self.problem = problem
        self._features = features
        self._exact = [name for name in problem.metrics if name in problem.closed_form]
        good = np.isfinite(values).all(axis=1)
        measured = np.array(archs, np.int64)[good]
        rows = self._describe(measured, self._costs(measured))
        signs = {o.name: o.sign for o in problem.objectives}
        self._fitted: list[tuple[int, Any, bool, float]] = []
        for column, name in enumerate(problem.metrics):
            if name in problem.closed_form:
                continue
            predictor = deepcopy(predictors[name])
            predictor.fit(rows, values[good, column])
            has_std = "return_std" in signature(predictor.predict).parameters
            shift = 0.0 if optimism is None else -optimism[column] * signs.get(name, 0)
            self._fitted.append((column, predictor, has_std, shift * has_std))

    def __call__(self, archs: Archs) -> FloatArray:
        """Values of shape (n, len(problem.metrics)), `ROWS` architectures at a time."""
        return np.concatenate(
            [self._values(archs[i : i + ROWS]) for i in range(0, max(len(archs), 1), ROWS)]
        )

    def _values(self, archs: Archs) -> FloatArray:
        values = np.empty((len(archs), len(self.problem.metrics)))
        costs = self._costs(archs)
        rows = self._describe(archs, costs) if self._fitted else values
        for column, predictor, _, shift in self._fitted:
            if shift:
                mean, deviation = predictor.predict(rows, return_std=True)
                values[:, column] = mean + shift * deviation
            else:
                values[:, column] = predictor.predict(rows)
        for name in self._exact:
            values[:, self.problem.metrics.index(name)] = costs[name]
        return values

    def standardized_residuals(self, archs: Archs, values: FloatArray) -> FloatArray:
        """(values - mean) / std of `archs`, for measured `values` (n, metrics), same shape, clipped to
        +-`MAX_RESIDUAL`; 1 where nothing is predicted, no std is known, or values are NaN."""
        found = np.ones(values.shape)
        rows = self._describe(archs, self._costs(archs))
        for column, predictor, has_std, _ in self._fitted:
            if has_std:
                mean, deviation = predictor.predict(rows, return_std=True)
                found[:, column] = (values[:, column] - mean) / np.maximum(deviation, 1e-12)
        return np.where(np.isfinite(values), np.clip(found, -MAX_RESIDUAL, MAX_RESIDUAL), 1.0)

    def _costs(self, archs: Archs) -> dict[str, FloatArray]:
        """What the space says of `archs`, once for features and values; nothing if neither needs it."""
        wanted = self._exact or self._features is not None
        return self.problem.costs(archs) if wanted else {}

    def _describe(self, archs: Archs, costs: dict[str, FloatArray]) -> FloatArray:
        if self._features is None:
            return self.problem.space.features(archs)
        return self._features(archs, costs)


def clip_to_front(problem: Problem, values: FloatArray) -> FloatArray:
    """Measured `values` (n, metrics) with each loss clipped at b + span, to learn from.

    b is the lowest loss among the members of the measured front that are no worse in the other
    objectives, span the front's range in this objective. Where some architectures hardly work at all
    (many of NAS-Bench-201), how bad they are would be most of what is learnt, and those that work
    would look alike. With one objective nothing is clipped.
    """
    good = np.isfinite(values).all(axis=1)
    losses = problem.losses(values[good])
    front = losses[pareto.nondominated(losses)]
    spans = np.ptp(front, axis=0)
    learnt = values.copy()
    for column, objective in enumerate(problem.objectives):
        others, rivals = (np.delete(rows, column, axis=1) for rows in (losses, front))
        no_worse = (rivals <= others[:, None]).all(axis=2)
        best = np.where(no_worse, front[:, column], np.inf).min(axis=1)
        furthest = best + (spans[column] or np.inf)
        learnt[good, column] = np.minimum(losses[:, column], furthest) * objective.sign
    return learnt


def keep_memory() -> None:
    """Let the process keep the memory of arrays that it frees, up to 32 MiB.

    glibc hands back to the system what exceeds twice the largest block freed so far, and every page
    of the next array is then cleared anew: a fourth of LINAS's time. Elsewhere this does nothing.
    """
    np.empty(2**21)
