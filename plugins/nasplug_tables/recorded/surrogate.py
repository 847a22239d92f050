"""The evaluator of recorded searches: a surrogate fitted to what they measured."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cached_property
from typing import final

import numpy as np

from nasplug import Evaluator, Measurement, Metric, NasplugError, Predictor, SearchSpace
from nasplug.contracts.types import FloatArray, Outcome, Trial
from nasplug_tables.recorded.recordings import Recorded, read

log = logging.getLogger(__name__)

METRICS = {
    "top1": Metric("%", "maximize"),
    "loss": Metric("", "minimize"),
    "latency": Metric("ms", "minimize"),
    "model_size": Metric("", "minimize"),
    "params": Metric("", "minimize"),
    "macs": Metric("", "minimize"),
}
"""Those of which less is better, or that have a unit; of others more is better."""

FOLDS = 10
"""Of the cross-validation."""
FEWEST = 20
"""Architectures that must be recorded."""


@final
class Surrogate(Evaluator):
    """Predicts what recorded searches measured, for any architecture, with a model fitted to them.

    With it a search can be studied in seconds. Repeated measurements of an architecture are averaged.
    Metrics that the space computes exactly are left to the evaluator `costs`. `prepare` logs the
    cross-validated error of every metric; differences smaller than that mean nothing.

    Args:
        space: whose architectures are measured.
        predictor: the model; each metric gets a copy, fitted to the masked one-hot.
        results: CSV files of DyNAS-T, or `results.csv` of nasplug's runs.
        minimize: metrics of which less is better, beside losses and costs.
    """

    preferred_batch = 1000

    def __init__(
        self,
        space: SearchSpace,
        predictor: Predictor,
        results: Sequence[str] = (),
        minimize: Sequence[str] = (),
    ) -> None:
        self.space = space
        self.predictor = predictor
        self.results = list(results)
        self.minimize = list(minimize)

    @cached_property
    def metrics(self) -> Mapping[str, Metric]:
        """Metrics that at least half of the architectures have and that the space cannot compute;
        none without files."""
        if not self.results:
            return {}
        counts: dict[str, int] = {}
        for values in self._recorded.values():
            for name in values:
                counts[name] = counts.get(name, 0) + 1
        closed_form = self.space.costs([self.space.smallest])
        names = [n for n in counts if n not in closed_form and 2 * counts[n] >= len(self._recorded)]
        return {name: self._metric(name) for name in sorted(names, key=_costs_last)}

    def _metric(self, name: str) -> Metric:
        known = METRICS.get(name, Metric("", "maximize"))
        return Metric(known.unit, "minimize") if name in self.minimize else known

    @cached_property
    def _recorded(self) -> Recorded:
        recorded = read(self.results, self.space)
        if len(recorded) < FEWEST:
            raise NasplugError(
                f"recorded needs at least {FEWEST} measured architectures, but {self.results} hold "
                f"{len(recorded)}"
            )
        return recorded

    @cached_property
    def _models(self) -> Mapping[str, Predictor]:
        models = {}
        for name in self.metrics:
            x, y = self._rows(name)
            models[name] = deepcopy(self.predictor)
            models[name].fit(x, y)
        return models

    def _rows(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Features (n, f) and values (n,) of the architectures with a recorded `name`."""
        having = {arch: v[name] for arch, v in self._recorded.items() if name in v}
        return self.space.features(list(having)), np.array(list(having.values()))

    def prepare(self) -> None:
        """Fit the models and log their cross-validated errors."""
        self._models  # noqa: B018
        for name, error in self.errors().items():
            said = ", ".join(f"{key} {value:.4g}" for key, value in error.items())
            log.info("%s, %d architectures: %s", name, len(self._rows(name)[1]), said)

    def errors(self) -> dict[str, dict[str, float]]:
        """For each metric: cross-validated mean absolute error (in its unit), R2 and Kendall's tau."""
        from scipy.stats import kendalltau

        found = {}
        for name in self.metrics:
            x, y = self._rows(name)
            fold = np.random.default_rng(0).permutation(len(y)) % FOLDS
            said = np.empty(len(y))
            for k in range(FOLDS):
                model = deepcopy(self.predictor)
                model.fit(x[fold != k], y[fold != k])
                said[fold == k] = model.predict(x[fold == k])
            found[name] = {
                "error": float(np.abs(said - y).mean()),
                "R2": 1.0 - float(np.mean((said - y) ** 2) / max(float(np.var(y)), 1e-300)),
                "tau": float(kendalltau(said, y).statistic),
            }
        return found

    def evaluate(self, trials: Sequence[Trial], names: Sequence[str]) -> list[Outcome]:
        """The models' predictions, rounded to 1e-6: the last digits depend on the size of the
        batch."""
        archs = [trial.arch for trial in trials]
        features = self.space.features(archs)
        columns = {name: self._models[name].predict(features).round(6).tolist() for name in names}
        return [Measurement({name: columns[name][i] for name in names}) for i in range(len(archs))]


def _costs_last(name: str) -> bool:
    """Sort key: quality metrics come first, since the first metric is the default objective."""
    return name in METRICS and METRICS[name].direction == "minimize"
