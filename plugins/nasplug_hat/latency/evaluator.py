"""The evaluator of latencies by published predictors, or by regressions to published measurements."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from scipy.stats import kendalltau

from nasplug import (
    Evaluator,
    Measurement,
    Metric,
    NasplugError,
    NonNegativeInt,
    PositiveFloat,
    SearchSpace,
)
from nasplug.contracts.types import Archs, FloatArray, Outcome, Trial
from nasplug_hat.latency.features import NAMES, NORM, Features
from nasplug_hat.latency.files import (
    PUBLISHED,
    SCALES,
    device_scale,
    located,
    read_measurements,
)
from nasplug_hat.latency.perceptron import Perceptron

log = logging.getLogger(__name__)

Model = Literal["mlp", "ridge", "gp"]

PUBLISHED_RANGE = (
    np.array([512.0, 6, 512, 2, 512, 1, 512, 2, 2, 1]),
    np.array([640.0, 6, 3072, 8, 640, 6, 3072, 8, 8, 3]),
)
"""The least and the greatest of each feature in the published measurements."""

GP_ROWS = 400
"""Rows that length scales and noise of a Gaussian process are fitted to; its predictions use all."""

DIGITS = 6
"""Decimals of milliseconds that are given: those beyond depend on how many are computed at a time."""


@final
class HatLatency(Evaluator):
    """`latency` in milliseconds of a translation by a transformer of the HAT kind, from a predictor.

    The published predictors and measurements are of one sentence of 30 tokens (IWSLT: 23): the
    encoder once, and as many steps of a decoder with cache, for 5 hypotheses. Nothing is run: strategies
    compute it for many architectures at once. Wang et al., "HAT: Hardware-Aware Transformers for
    Efficient Natural Language Processing", ACL 2020; the files are in latency_dataset/ of
    github.com/mit-han-lab/hardware-aware-transformers. Two devices in one search: give each a name of
    its own, evaluators.NAME.rename.latency=..

    Fitted to a file of measurements, the model learns from 80 % of its rows, as HAT's do, and its error
    on the last 10 % is logged (the other 10 % is left for choosing a model).

    Args:
        space: one of hardware-aware transformers.
        file: a published predictor (.pt), or a CSV file of measurements, published or your own; or the
            name of a published predictor, which is fetched, e.g. wmt14ende_gpu_titanxp.
        model: fitted to a CSV file: mlp, HAT's perceptron of 10-400-400-400-400-1; ridge; or gp, a
            Gaussian process.
        scale: milliseconds that the predictor counts in; null: by the device in the file's name
            (raspberrypi 5000, xeon 300, titan 200), for other CSV files their mean latency.
        seed: of the split and of the fit.
    """

    closed_form = ("latency",)
    preferred_batch = 1000

    def __init__(
        self,
        space: SearchSpace,
        file: str | None = None,
        model: Model = "mlp",
        scale: PositiveFloat | None = None,
        seed: NonNegativeInt = 0,
    ) -> None:
        if model not in ("mlp", "ridge", "gp"):
            raise NasplugError(f"model must be mlp, ridge or gp, but got {model!r}")
        self.space = space
        self.file = file
        self.model = model
        self.scale = scale
        self.seed = seed

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """latency, in milliseconds."""
        return {"latency": Metric("ms", "minimize")}

    def prepare(self) -> None:
        """Read the file, and fit the model to it if it holds measurements."""
        _ = self._loaded

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """latency of n architectures, shape (n,)."""
        features, model, scale = self._loaded
        found = model.predict(features(archs) / NORM) * scale
        return {"latency": np.round(np.asarray(found, float), DIGITS)}

    def evaluate(self, trials: Sequence[Trial], names: Sequence[str]) -> list[Outcome]:
        """All at once."""
        column = self.costs([trial.arch for trial in trials])["latency"].tolist()
        return [Measurement({name: value for name in names}) for value in column]

    @cached_property
    def _loaded(self) -> tuple[Features, Any, float]:
        """What makes features, the model, and the milliseconds that it counts in."""
        features = Features(self.space)
        if self.file is None:
            raise NasplugError(
                "hat_latency needs the file of a published predictor (.pt) or of measurements (.csv), or a "
                f"published name, e.g. file={PUBLISHED[0]}, but got none"
            )
        path = located(self.file)
        if path.suffix == ".csv":
            model, scale, known = self._fit(path)
        else:
            model, known = Perceptron.read(path), PUBLISHED_RANGE
            named = self.scale or device_scale(path.name)
            if named is None:
                raise NasplugError(
                    f"the device of a predictor must be known, but {path.name} names none of "
                    f"{', '.join(SCALES)}; give the milliseconds that it counts in, scale=NUMBER"
                )
            scale = named
        _say_what_is_extrapolated(features, known, path)
        return features, model, scale

    def _fit(self, path: Path) -> tuple[Any, float, tuple[FloatArray, FloatArray]]:
        X, y = read_measurements(path)
        scale = self.scale or device_scale(path.name) or float(y.mean())
        order = np.random.default_rng(self.seed).permutation(len(y))
        train, test = order[: int(0.8 * len(y))], order[int(0.9 * len(y)) :]
        model = fitted(self.model, X[train] / NORM, y[train] / scale, self.seed)
        mape, rmse, tau = errors(model.predict(X[test] / NORM) * scale, y[test])
        log.info(
            "latency by %s, fitted to %d rows of %s; on %d others: MAPE %.2f %%, RMSE %.4g ms, Kendall %.3f",
            self.model, len(train), path, len(test), mape, rmse, tau,
        )  # fmt: skip
        return model, scale, (X.min(axis=0), X.max(axis=0))


def fitted(model: Model, X: FloatArray, y: FloatArray, seed: int) -> Any:
    """A regressor with `predict`, fitted to normalised features (n, 10) and targets (n,)."""
    if model == "mlp":
        return Perceptron.fit(X, y, seed)
    if model == "ridge":
        from sklearn.linear_model import Ridge

        return Ridge(1e-3).fit(X, y)
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    kernel = DotProduct() + ConstantKernel() * RBF(np.ones(X.shape[1])) + WhiteKernel(0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of features that tell nothing
        some = GaussianProcessRegressor(kernel, normalize_y=True).fit(X[:GP_ROWS], y[:GP_ROWS])
    return GaussianProcessRegressor(some.kernel_, optimizer=None, normalize_y=True).fit(X, y)


def errors(predicted: FloatArray, measured: FloatArray) -> tuple[float, float, float]:
    """Mean absolute error in %, root mean square error in ms, and Kendall's rank correlation."""
    mape = 100 * np.abs(predicted / measured - 1).mean()
    rmse = np.sqrt(np.square(predicted - measured).mean())
    return float(mape), float(rmse), float(kendalltau(predicted, measured).statistic)


def _say_what_is_extrapolated(
    features: Features, known: tuple[FloatArray, FloatArray], path: Path
) -> None:
    """A warning where the space goes far beyond what the predictor was fitted to: by more than half of
    its range, since means over random layers seldom come near their extremes."""
    low, high = features.range
    for name, a, b, least, most in zip(NAMES, low, high, *known, strict=True):
        if max(least - a, b - most) > (most - least) / 2:
            log.warning(
                "%s was fitted to %s of %g to %g, and this space has %g to %g: its latencies are "
                "extrapolated", path.name, name, least, most, a, b,
            )  # fmt: skip
            break
