"""Every builtin predictor by the conformance suite, and against independent computations."""

import numpy as np
import pytest
import sklearn.linear_model
import sklearn.svm
from nasplug_predictors.auto import Auto
from nasplug_predictors.boosting import Boosting
from nasplug_predictors.ensemble import Ensemble
from nasplug_predictors.gp import PRIOR_MEAN, PRIOR_STD, GaussianProcess
from nasplug_predictors.mlp import MLP
from nasplug_predictors.ridge import Ridge
from nasplug_predictors.sklearn_regressor import SklearnRegressor
from nasplug_predictors.stacked import Stacked
from nasplug_predictors.svr import SVR
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct

from nasplug import NasplugError
from nasplug.testing import PredictorContract
from nasplug.toolkit.searching.folds import assign, out_of_fold

EVERY = {
    "ridge": Ridge,
    "svr": SVR,
    "svr, linear": lambda: SVR(kernel="linear"),
    "gp": GaussianProcess,
    "mlp": MLP,
    "boosting": Boosting,
    "stacked": lambda: Stacked([Ridge(), SVR()], Ridge()),
    "ensemble": lambda: Ensemble(Ridge(), members=4),
    "auto": lambda: Auto({"gp": GaussianProcess(), "svr": SVR(), "ridge": Ridge()}),
    "scikit-learn's": SklearnRegressor,
}


class TestEvery(PredictorContract):
    @pytest.fixture(params=sorted(EVERY))
    def predictor(self, request):
        return EVERY[request.param]()


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 8))
    return x, 5 + 3 * x[:, 0] + np.sin(2 * x[:, 1]) + 0.1 * rng.normal(size=60), rng


@pytest.mark.parametrize("rows", [6, 60])
def test_ridge_is_ridge(data, rows):
    x, y, rng = data
    y = (y - y[:rows].mean()) / y[:rows].std()
    new = rng.normal(size=(7, 8))
    theirs = sklearn.linear_model.Ridge(alpha=2.0).fit(x[:rows], y[:rows]).predict(new)
    np.testing.assert_allclose(Ridge(2.0).fit(x[:rows], y[:rows]).predict(new), theirs)


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize("gamma", ["scale", "auto", 0.3])
def test_svr_is_svr(data, kernel, gamma):
    x, y, rng = data
    z = (y - y.mean()) / y.std()
    theirs = sklearn.svm.SVR(kernel=kernel, C=10.0, epsilon=0.01, gamma=gamma).fit(x, z)
    new = rng.normal(size=(9, 8))
    mine = SVR(kernel=kernel, gamma=gamma).fit(x, y).predict(new)
    np.testing.assert_allclose(mine, theirs.predict(new) * y.std() + y.mean(), atol=1e-8)


def test_svr_on_targets_as_they_are(data):
    x, y, _ = data
    theirs = sklearn.svm.SVR(C=10.0, epsilon=0.01).fit(x, y).predict(x)
    np.testing.assert_allclose(SVR(standardise=False).fit(x, y).predict(x), theirs, atol=1e-8)


def test_gp_is_a_gaussian_process(data):
    x, y, rng = data
    x = x * np.arange(1, 9)
    new = rng.normal(size=(9, 8)) * np.arange(1, 9)
    mine = GaussianProcess().fit(x, y)
    linear, pairs, first, length, second, reach, noise = np.exp(mine._shares)
    weighted, even = mine._factors  # a distance by even columns is one with a length for each
    kernel = ConstantKernel(linear) * DotProduct(0.0, "fixed")
    kernel += ConstantKernel(pairs / 2) * DotProduct(0.0, "fixed") ** 2
    kernel += ConstantKernel(first) * RBF(length)
    kernel += ConstantKernel(second) * RBF(reach * weighted / even)
    theirs = GaussianProcessRegressor(kernel, alpha=noise + 1e-6, optimizer=None)
    theirs.fit(mine._viewed(x)[0], (y - y.mean()) / y.std())
    mean, std = theirs.predict(mine._viewed(new)[0], return_std=True)
    got, got_std = mine.predict(new, return_std=True)
    np.testing.assert_allclose(got, mean * y.std() + y.mean(), rtol=1e-6)
    np.testing.assert_allclose(got_std, std * y.std(), rtol=1e-4)


def test_gp_learns_interactions_of_columns_with_little_weight(data):
    _, _, rng = data
    x = rng.choice([-1.0, 1.0], size=(160, 6))
    y = x[:, 0] + x[:, 1] * x[:, 2]
    x[:, 1:3] *= 0.02
    fitted = GaussianProcess().fit(x[:120], y[:120])
    assert np.corrcoef(fitted.predict(x[120:]), y[120:])[0, 1] > 0.9


def test_gp_extrapolates_how_pairs_add_up(data):
    _, _, rng = data
    x = rng.normal(size=(60, 4))
    y = x[:, 0] + 2 * x[:, 1] * x[:, 2]
    far = 3 * x[:20]
    fitted = GaussianProcess().fit(x, y)
    assert np.corrcoef(fitted.predict(far), 3 * x[:20, 0] + 18 * x[:20, 1] * x[:20, 2])[0, 1] > 0.99


def test_gp_shares_are_the_likeliest(data):
    x, y, _ = data
    fitted = GaussianProcess(iterations=200).fit(x, y)
    z = (y - y.mean()) / y.std()

    def loss(shares):
        fitted._shares = shares
        kernel = fitted._kernel(fitted._views, fitted._views)
        kernel += (np.exp(shares[-1]) + 1e-6) * np.eye(len(z))
        doubt = (shares - PRIOR_MEAN) / PRIOR_STD
        _, size = np.linalg.slogdet(kernel)
        return 0.5 * (z @ np.linalg.solve(kernel, z) + size + doubt @ doubt)

    best = fitted._shares
    for step in np.eye(len(best)) * 0.05:
        assert loss(best) <= min(loss(best + step), loss(best - step)) + 1e-6


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
def test_gp_survives_any_scale_and_repeated_rows(data, size):
    x, y, _ = data
    x, y = size * np.repeat(x, 3, axis=0), np.repeat(y, 3) / size
    mean, std = GaussianProcess().fit(x, y).predict(x, return_std=True)
    assert np.isfinite(std).all()
    assert np.corrcoef(mean, y)[0, 1] > 0.95


def test_gp_knows_where_it_knows_nothing(data):
    x, y, _ = data
    fitted = GaussianProcess().fit(x, y)
    near, far = (fitted.predict(rows, return_std=True)[1] for rows in (x, 10 * x))
    assert near.max() < far.mean()


def test_gp_fits_its_shares_to_some_rows_and_predicts_with_all(data):
    x, y, _ = data
    fitted = GaussianProcess(rows=20).fit(x, y)
    assert np.corrcoef(fitted.predict(x), y)[0, 1] > 0.95


def test_folds_are_even_and_unseen(data):
    x, y, _ = data
    assert np.bincount(assign(23, 5, seed=1)).tolist() in ([5, 5, 5, 4, 4],)

    class Memory:
        def fit(self, X, y):
            self.seen = {row.tobytes() for row in X}
            return self

        def predict(self, X):
            assert not any(row.tobytes() in self.seen for row in X)
            return np.zeros(len(X))

    assert (out_of_fold(Memory(), x, y, 5) == 0).all()


def test_auto_chooses_by_rank():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 4))
    choices = {"ridge": Ridge(), "svr": SVR()}
    assert Auto(choices).fit(x, x @ [1.0, 2.0, 3.0, 4.0]).chosen == "ridge"
    bent = Auto(choices).fit(x, (x**2).sum(axis=1))
    assert bent.chosen == "svr"
    assert bent.scores["svr"] > bent.scores["ridge"]


def test_stacked_beats_its_worse_half(data):
    x, y, rng = data
    new = rng.normal(size=(200, 8))
    truth = 5 + 3 * new[:, 0] + np.sin(2 * new[:, 1])

    def error(predictor):
        return np.sqrt(np.mean((predictor.fit(x, y).predict(new) - truth) ** 2))

    assert error(Stacked([Ridge(), SVR()], Ridge())) < max(error(Ridge()), error(SVR()))


def test_any_scikit_learn_regressor(data):
    x, y, _ = data
    forest = SklearnRegressor("sklearn.ensemble.RandomForestRegressor", {"n_estimators": 5})
    assert forest.fit(x, y).predict(x).shape == y.shape
    for wrong in ("sklearn.svm.SVC", "sklearn.nothing.X", "Ridge", "os.system"):
        with pytest.raises(NasplugError, match="must be a scikit-learn regressor"):
            SklearnRegressor(wrong)
    with pytest.raises(NasplugError, match=r"must fit sklearn\.svm\.SVR"):
        SklearnRegressor("sklearn.svm.SVR", {"c": 1})


def test_wrong_knobs():
    for make, said in (
        (lambda: Ridge(0.0), "alpha"),
        (lambda: GaussianProcess(rows=0), "rows"),
        (lambda: Ensemble(Ridge(), members=1), "members"),
        (lambda: Ensemble(Ridge(), share=0.0), "share"),
        (lambda: Auto({}), "predictors to choose from"),
    ):
        with pytest.raises(NasplugError, match=said):
            make()
