"""What every predictor must do."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np

from nasplug.contracts.predictor import Predictor
from nasplug.contracts.types import FloatArray
from nasplug.testing.described import check_described
from nasplug.testing.fakes import ToySpace


class PredictorContract:
    """Give a `predictor` fixture, not fitted."""

    def data(self, seed: int, n: int = 80) -> tuple[FloatArray, FloatArray]:
        """Features of random architectures, and a target that they explain."""
        space = ToySpace(layers=6)
        archs = space.sample(n, np.random.default_rng(seed))
        features = space.features(archs)
        weights = np.random.default_rng(9).normal(size=features.shape[1])
        return features, 70 + features @ weights

    def test_fits_the_protocol(self, predictor: Any) -> None:
        assert isinstance(predictor, Predictor)

    def test_is_described_by_its_constructor_arguments(self, predictor: Any) -> None:
        check_described(predictor)

    def test_ranks_new_architectures(self, predictor: Any) -> None:
        from scipy.stats import kendalltau

        (x, y), (new, truth) = self.data(0), self.data(1)
        predicted = predictor.fit(x, y).predict(new)
        assert predicted.shape == (len(new),)
        assert kendalltau(predicted, truth).statistic > 0.5

    def test_is_deterministic_and_forgets(self, predictor: Any) -> None:
        (x, y), (other, target) = self.data(0), self.data(1)
        fresh = copy.deepcopy(predictor).fit(x, y).predict(other)
        again = predictor.fit(other, target).fit(x, y).predict(other)
        np.testing.assert_array_equal(fresh, again)

    def test_shifting_and_scaling_the_target_keeps_the_ranking(self, predictor: Any) -> None:
        (x, y), (new, _) = self.data(0), self.data(1)
        plain = copy.deepcopy(predictor).fit(x, y).predict(new)
        scaled = copy.deepcopy(predictor).fit(x, 1e6 * y + 3e8).predict(new)
        assert np.corrcoef(plain, scaled)[0, 1] > 0.99

    def test_survives_few_and_constant_targets(self, predictor: Any) -> None:
        x, y = self.data(0, n=4)
        assert np.isfinite(copy.deepcopy(predictor).fit(x, y).predict(x)).all()
        flat = copy.deepcopy(predictor).fit(x, np.full(4, 7.0)).predict(x)
        np.testing.assert_allclose(flat, 7.0, rtol=1e-3)

    def test_uncertainty_where_it_is_offered(self, predictor: Any) -> None:
        if "return_std" not in inspect.signature(predictor.predict).parameters:
            return
        (x, y), (new, _) = self.data(0), self.data(1)
        mean, std = predictor.fit(x, y).predict(new, return_std=True)
        assert mean.shape == std.shape == (len(new),)
        assert (std >= 0).all()
