"""Metrics that an evaluator computes itself: strategies keep limits on them without measuring."""

import json

import numpy as np
import pytest

import nasplug
from nasplug import Evaluator, EvaluatorChain, Measurement, Metric, NasplugError
from nasplug.app.computed_costs import computed_costs
from nasplug.app.renamed_metrics import RenamedMetrics
from nasplug.testing import EvaluatorContract, ToyEvaluator, ToySpace

SPACE = ToySpace(layers=6)


class Device(Evaluator):
    """A latency of the parameters; the space does not know it."""

    metrics = {"latency": Metric("ms", "minimize")}
    closed_form = ("latency",)
    preferred_batch = 100

    def __init__(self, factor: float = 0.5) -> None:
        self.factor = factor

    def costs(self, archs):
        return {"latency": self.factor * SPACE.costs(archs)["params"]}

    def evaluate(self, trials, names):
        column = self.costs([trial.arch for trial in trials])["latency"]
        return [Measurement({name: float(value) for name in names}) for value in column]


class TestDevice(EvaluatorContract):
    timed = ()

    @pytest.fixture
    def evaluator(self):
        return Device()

    @pytest.fixture
    def space(self):
        return SPACE


def limit():
    """In milliseconds, what a fifth of the space keeps."""
    return float(np.quantile(Device().costs(SPACE.enumerate())["latency"], 0.2))


@pytest.mark.parametrize("strategy", ["evolution", "linas"])
@pytest.mark.parametrize("name", ["latency", "phone"])
def test_a_search_computes_them(strategy, name):
    device = Device() if name == "latency" else RenamedMetrics(Device(), {"latency": "phone"})
    found = nasplug.search(
        SPACE,
        [ToyEvaluator(), device],
        nasplug.make("strategy", strategy),
        ["score"],
        30,
        constraints={name: {"max": limit()}},
    ).table()
    archs = [json.loads(text) for text in found["architecture"]]
    share = np.mean(found[name] <= limit())
    assert share == 1.0 if strategy == "evolution" else share > 0.8
    assert np.allclose(found[name], Device().costs(archs)["latency"])


def test_an_unreachable_limit_is_refused_at_the_start():
    least = Device().costs(SPACE.enumerate())["latency"].min()
    with pytest.raises(NasplugError, match=f"the least latency is {least:g}"):
        nasplug.search(
            SPACE,
            [ToyEvaluator(), Device()],
            nasplug.make("strategy", "random"),
            ["score"],
            5,
            constraints={"latency": {"max": least / 2}},
        )


def test_the_first_evaluator_that_knows_a_metric_computes_it():
    archs = SPACE.enumerate()[:5]
    chain = EvaluatorChain(
        [Device(2.0), Device(3.0), RenamedMetrics(Device(4.0), {"latency": "b"})]
    )
    costs = computed_costs(SPACE, chain)(archs)
    params = SPACE.costs(archs)["params"]
    assert (costs["latency"] == 2 * params).all() and (costs["b"] == 4 * params).all()
    assert (costs["params"] == params).all()


def test_without_such_an_evaluator_the_space_alone_computes():
    assert computed_costs(SPACE, EvaluatorChain([ToyEvaluator()])) is None
    assert computed_costs(SPACE, EvaluatorChain([RenamedMetrics(ToyEvaluator(), {})])) is None
