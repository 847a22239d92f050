"""One-shot strategies and the evaluator `training` on spaces declared with nni."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from asking import ask, tell
from nasplug_nni.space.nni_space import NniSpace
from nasplug_oneshot.enas import Enas
from nasplug_oneshot.gradient_search import GradientSearch
from nasplug_oneshot.relaxations import BinaryGates, Gumbel, Softmax
from nasplug_oneshot.shared_weights import Training
from nasplug_oneshot.single_path import SinglePath
from nasplug_strategies.evolution.evolution import Evolution
from nasplug_training.training import TrainingEvaluator
from torch import nn

from nasplug import NasplugError, Objective, Problem
from nasplug.contracts.types import full_trials
from nasplug.testing import EvaluatorContract, ToyTask

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import nni
    import nni.nas.nn.pytorch as nas


class Deaf(nn.Module):
    """Hears nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(x)


class Nested(nas.ModelSpace):
    """A layer that is deaf, or listens through one of two; a skip connection of something of use."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nas.LayerChoice(
            {
                "deaf": Deaf(),
                "listens": nas.LayerChoice(
                    {"linear": nn.Linear(6, 6), "deaf": Deaf()}, label="inner"
                ),
            },
            label="outer",
        )
        self.skip = nas.InputChoice(2, 1, label="skip")
        self.head = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heard = self.first(x)
        return self.head(self.skip([torch.ones_like(heard), heard.relu()]))


class Leaky(nas.ModelSpace):
    """How leaky its rectifier is, is read while it is built; so is how wide it is."""

    def __init__(self) -> None:
        super().__init__()
        width = nni.choice("width", [2, 4])
        self.hidden = nas.MutableLinear(6, width)
        self.leaky = nas.MutableLeakyReLU(nni.choice("slope", [0.1, 0.9]))
        self.head = nas.MutableLinear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.leaky(self.hidden(x)))


TOP1 = Objective("top1", "%", "maximize")
LEARN = Training(epochs=12, batch_size=12, lr=0.1)
KNOBS: dict[str, Any] = {"training": LEARN, "weights_first": 3, "device": "cpu"}
RELAXED = {
    "darts": GradientSearch(Softmax(), alpha_lr=0.1, **KNOBS),
    "second order": GradientSearch(Softmax(), second_order=True, alpha_lr=0.1, **KNOBS),
    "gdas": GradientSearch(Gumbel(initial_temperature=2.0), alpha_lr=0.1, **KNOBS),
    "snas": GradientSearch(Gumbel(False, 2.0), alpha_lr=0.1, **KNOBS),
    "proxyless": GradientSearch(BinaryGates(), alpha_lr=0.1, **KNOBS),
}
PATHS = {
    "enas": Enas(hidden=8, controller_lr=0.02, samples=6, **KNOBS),
    "spos": SinglePath(Evolution("ga", population=4), LEARN, evaluations=8, device="cpu"),
}


@pytest.fixture(scope="module")
def space() -> NniSpace:
    return NniSpace(Nested, input_shape=(6,))


@pytest.mark.parametrize("name", [*RELAXED, *PATHS])
def test_the_best_of_an_nni_space(name: str, space: NniSpace) -> None:
    strategy = {**RELAXED, **PATHS}[name]
    problem = Problem(space, (TOP1,), task=ToyTask())
    strategy.setup(problem)
    asked: list[Any] = []
    while batch := ask(strategy, 3):
        asked += batch
        tell(strategy, problem, batch, torch.ones(len(batch), 1).numpy())
    assert space.config(asked[0]) == {"outer": "listens", "inner": "linear", "skip": [1]}
    assert len(set(asked)) == len(asked) == space.size == 6 and space.valid(asked) == asked


def test_what_cannot_be_relaxed_is_named_and_searched_otherwise() -> None:
    leaky = Problem(NniSpace(Leaky, input_shape=(6,)), (TOP1,), task=ToyTask())
    for strategy in RELAXED.values():
        with pytest.raises(NasplugError, match=r"'slope' cannot be relaxed"):
            strategy.setup(leaky)
    for strategy in PATHS.values():
        strategy.setup(leaky)
        assert leaky.space.valid(ask(strategy, 1)) == ask(strategy, 1)


class TestTraining(EvaluatorContract):
    """Every candidate is really trained: the n-th of nni's networks as the first."""

    samples = 6

    @pytest.fixture
    def space(self, space: NniSpace) -> NniSpace:
        return space

    @pytest.fixture
    def evaluator(self, space: NniSpace, tmp_path: Any) -> TrainingEvaluator:
        return TrainingEvaluator(space, ToyTask(), epochs=3, batch_size=24, cache=str(tmp_path))

    def test_the_network_is_trained_and_loads(
        self, evaluator: TrainingEvaluator, space: NniSpace
    ) -> None:
        arch = space.arch({"outer": "listens", "inner": "linear", "skip": 1})
        (outcome,) = evaluator.evaluate(full_trials([arch]), ["top1", "loss"])
        network = evaluator.network(arch)
        again = space.build(arch)
        again.load_state_dict(network.state_dict())
        assert evaluator.task.quality(again.eval(), evaluator.task.metrics) == outcome.values
        assert outcome.values["top1"] > 60
