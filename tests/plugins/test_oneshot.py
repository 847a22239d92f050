"""One-shot strategies by the conformance suite, and what they learn on toys."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from asking import ask, tell
from nasplug_oneshot.enas import Enas
from nasplug_oneshot.gradient_search import GradientSearch
from nasplug_oneshot.relaxations import BinaryGates, Gumbel, Softmax
from nasplug_oneshot.shared_weights import Training
from nasplug_oneshot.single_path import SinglePath
from nasplug_strategies.evolution.evolution import Evolution
from nasplug_strategies.samplers.random_search import RandomSearch
from torch import nn

import nasplug
from nasplug import (
    Constraint,
    NasplugError,
    Objective,
    Problem,
    SearchSpace,
    SuperNetwork,
    Variable,
)
from nasplug.testing import StrategyContract, SuperNetworkContract, ToySpace, ToyTask


class MixedSpace(ToySpace):
    """Perceptrons whose super-network can be mixed."""

    def supernet(self) -> Any:
        return MixedSuper(self)


class MixedSuper(SuperNetwork, nn.Module):
    """A unit of a hidden layer counts as much as the widths that have it do; the head reads the
    mixture of the layers, as much of each as its depth counts."""

    def __init__(self, space: ToySpace) -> None:
        super().__init__()
        self.space = space
        self.plain = ToySpace.supernet(space)
        self.mixture: list[torch.Tensor] | None = None

    def activate(self, arch: Any) -> None:
        self.mixture = None
        self.plain.activate(arch)

    def extract(self, arch: Any) -> nn.Module:
        return self.plain.train(self.training).extract(arch)

    def relax(self, weights: Any) -> None:
        self.mixture = list(weights)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.mixture is None:
            return self.plain(x)
        depth, *widths = self.mixture
        read = torch.zeros(())
        for k, (weight, linear, norm) in enumerate(
            zip(widths, self.plain.linears, self.plain.norms, strict=True)
        ):
            units = torch.arange(linear.out_features)
            kept = sum(
                w * (units < size) for w, size in zip(weight, self.space.widths, strict=True)
            )
            x = norm(linear(x)).relu() * kept
            read = read + depth[k] * x
        return self.plain.head(read)


class TestMixedSuper(SuperNetworkContract):
    """The toy itself must keep the contract, or it would prove nothing."""

    @pytest.fixture
    def space(self) -> SearchSpace:
        return MixedSpace()


SHORT = Training(epochs=3, batch_size=24)
KNOBS: dict[str, Any] = {
    "training": SHORT,
    "weights_first": 1,
    "sweep": [0.0, 1.0],
    "device": "cpu",
}
EVERY = {
    "darts": lambda: GradientSearch(Softmax(), **KNOBS),
    "darts, second order": lambda: GradientSearch(Softmax(), second_order=True, **KNOBS),
    "gdas": lambda: GradientSearch(Gumbel(), **KNOBS),
    "snas": lambda: GradientSearch(Gumbel(hard=False, initial_temperature=5.0), **KNOBS),
    "proxyless": lambda: GradientSearch(BinaryGates(), **KNOBS),
    "proxyless, one path": lambda: GradientSearch(BinaryGates(paths=1), **KNOBS),
    "enas": lambda: Enas(hidden=8, samples=10, **KNOBS),
    "spos": lambda: SinglePath(Evolution(population=10), SHORT, evaluations=40, device="cpu"),
    "random_one_shot": lambda: SinglePath(RandomSearch(), SHORT, evaluations=40, device="cpu"),
}
RELAXED = [name for name in EVERY if isinstance(EVERY[name](), GradientSearch)]


@pytest.fixture(params=sorted(EVERY))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


class TestEvery(StrategyContract):
    @pytest.fixture
    def strategy(self, name: str) -> Any:
        return EVERY[name]()

    def problem(self, space: SearchSpace | None = None, seed: int = 0) -> Problem:
        toy = space or ToySpace(layers=5)
        assert isinstance(toy, ToySpace)
        mixed = MixedSpace(toy.layers, toy.widths, toy.columns, toy.classes, toy.even)
        return replace(super().problem(mixed, seed), task=ToyTask())

    def test_constraints_are_obeyed_in_the_end(self, strategy: Any) -> None:
        """Where an inner search is asked first, it must see more than the budget: what is proposed is
        the feasible of that, then the rest."""
        if isinstance(strategy, SinglePath):
            strategy.evaluations = 300
        super().test_constraints_are_obeyed_in_the_end(strategy)


# ---- what they find where the answer is known ------------------------------------------------------


class Bits(ToyTask):
    """Eight classes: three bits, of which each pair of columns tells one."""

    def _data(self, seed: int) -> Any:
        rng = np.random.default_rng(seed)
        bits = rng.integers(0, 2, (self.samples, 3))
        x = np.repeat(2.0 * bits - 1, 2, axis=1) + 0.5 * rng.normal(size=(self.samples, 6))
        return torch.tensor(x, dtype=torch.float32), torch.tensor(bits @ [4, 2, 1])


class Parts(SearchSpace):
    """Class scores are a sum over three pairs of columns, each left out, replaced by another example's,
    or read. To read everything is best, and dearest."""

    variables = tuple(Variable(f"part{k}", ("nothing", "other", "read")) for k in range(3))

    def build(self, arch: Any) -> nn.Module:
        return PartsNetwork().picked(arch)

    def example_inputs(self, batch_size: int) -> Any:
        return (torch.zeros(batch_size, 6),)

    def costs(self, archs: Any) -> Any:
        return {"macs": np.asarray(archs, float).sum(1)}

    def supernet(self) -> Any:
        return PartsNetwork()


class PartsNetwork(SuperNetwork, nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(2, 8) for _ in range(6))
        self.picked((2, 2, 2))

    def picked(self, arch: Any) -> Any:
        self.weights = [torch.eye(3)[option] for option in arch]
        return self

    activate = picked  # type: ignore[assignment]

    def relax(self, weights: Any) -> None:
        self.weights = list(weights)

    def extract(self, arch: Any) -> nn.Module:
        network = PartsNetwork().picked(arch)
        network.load_state_dict(self.state_dict())
        return network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = torch.zeros(len(x), 8)
        for k, (_, other, read) in enumerate(self.weights):
            pair = x[:, 2 * k : 2 * k + 2]
            scores = scores + other * self.linears[2 * k](pair.roll(1, 0))
            scores = scores + read * self.linears[2 * k + 1](pair)
        return scores


TOP1 = Objective("top1", "%", "maximize")
LEARN = Training(epochs=20, batch_size=12, lr=0.1)
FINDS: dict[str, Any] = {"training": LEARN, "weights_first": 1, "device": "cpu"}
FINDERS = {
    "darts": lambda **k: GradientSearch(Softmax(), alpha_lr=0.1, **FINDS, **k),
    "second order": lambda **k: GradientSearch(
        Softmax(), alpha_lr=0.1, second_order=True, **FINDS, **k
    ),
    "gdas": lambda **k: GradientSearch(Gumbel(initial_temperature=2.0), alpha_lr=0.1, **FINDS, **k),
    "snas": lambda **k: GradientSearch(Gumbel(False, 2.0), alpha_lr=0.1, **FINDS, **k),
    "proxyless": lambda **k: GradientSearch(BinaryGates(), alpha_lr=0.1, **FINDS, **k),
    "proxyless, one path": lambda **k: GradientSearch(BinaryGates(1), alpha_lr=0.1, **FINDS, **k),
    "enas": lambda **k: Enas(hidden=16, controller_lr=0.02, samples=12, **FINDS, **k),
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "strategy",
    [
        *(make() for make in FINDERS.values()),
        SinglePath(RandomSearch(), LEARN, evaluations=27, device="cpu"),
        SinglePath(Evolution("ga", population=6), LEARN, evaluations=20, device="cpu"),
    ],
    ids=[*FINDERS, "random_one_shot", "spos"],
)
def test_finds_the_best(strategy: Any, seed: int) -> None:
    strategy.setup(Problem(Parts(), (TOP1,), task=Bits(), seed=seed))
    assert ask(strategy, 1) == [(2, 2, 2)]


MACS, LATENCY = Objective("macs", "", "minimize"), Objective("latency", "ms", "minimize")


@pytest.mark.parametrize("name", FINDERS)
def test_a_sweep_of_the_weight_of_costs_is_a_front(name: str) -> None:
    strategy = FINDERS[name](sweep=[0.0, 100.0], derived=2)
    problem = Problem(Parts(), (TOP1, MACS), task=Bits(), closed_form=("macs",))
    strategy.setup(problem)
    found = []
    for _ in range(2):
        batch = ask(strategy, 10)
        tell(strategy, problem, batch, np.ones((len(batch), 2)))
        found.append(batch)
    assert [len(batch) for batch in found] == [2, 2]
    assert found[0][0] == (2, 2, 2) and found[1][0] == (0, 0, 0)


@pytest.mark.parametrize("name", ["darts", "enas"])
def test_costs_that_nobody_computes_are_learnt(name: str) -> None:
    """A latency that only measurements tell: "other" is slowest."""
    milliseconds = np.array([1.0, 9.0, 3.0])
    strategy = FINDERS[name](sweep=[0.0, 100.0], derived=1, first=15)
    problem = Problem(Parts(), (TOP1, LATENCY), task=Bits())
    strategy.setup(problem)
    batches = []
    for _ in range(3):
        batch = ask(strategy, 99)
        latency = milliseconds[np.array(batch)].sum(1)
        values = np.stack([np.full(len(batch), 50.0), latency], 1)
        values[4:5] = np.nan  # a failure
        tell(strategy, problem, batch, values)
        batches.append(batch)
    assert [len(batch) for batch in batches] == [15, 1, 1]
    left = set(map(tuple, Parts().enumerate().tolist())) - {*batches[0], *batches[1]}
    assert batches[2] == [min(left, key=lambda arch: milliseconds[list(arch)].sum())]


@pytest.mark.parametrize("name", [*FINDERS, "spos"])
def test_what_breaks_a_limit_comes_last(name: str) -> None:
    spos = SinglePath(RandomSearch(), LEARN, evaluations=27, device="cpu")
    strategy: Any = spos if name == "spos" else FINDERS[name](limit=5.0)
    limit = Constraint("macs", max=4.0)
    problem = Problem(Parts(), (TOP1,), (limit,), Bits(), closed_form=("macs",))
    strategy.setup(problem)
    asked: list[Any] = []
    while batch := ask(strategy, 7):
        tell(strategy, problem, batch, np.ones((len(batch), 2)))
        asked += batch
    kept = Parts().costs(asked)["macs"] <= 4
    assert len(set(asked)) == len(asked) == 27
    if name != "enas":  # what its policy never draws comes later still
        assert kept[: kept.sum()].all()
    assert kept[:3].all() and {sum(asked[0])} <= {3, 4}


def test_the_start_that_a_problem_names_comes_first() -> None:
    strategy = FINDERS["darts"](first=2)
    first = ((0, 1, 0), (1, 1, 1), (0, 0, 1))
    strategy.setup(Problem(Parts(), (TOP1,), task=Bits(), initial_architectures=first))
    assert ask(strategy, 10) == list(first[:2])


# ---- mistakes --------------------------------------------------------------------------------------


def test_what_is_missing_is_named(name: str) -> None:
    strategy = EVERY[name]()
    with pytest.raises(NasplugError, match=r"needs a task; .* evaluator=training"):
        strategy.setup(Problem(Parts(), (TOP1,)))

    class Lonely(Parts):
        def supernet(self) -> Any:
            return SearchSpace.supernet(self)

    with pytest.raises(NasplugError, match="Lonely has no super-network"):
        strategy.setup(Problem(Lonely(), (TOP1,), task=Bits()))
        ask(strategy, 1)


@pytest.mark.parametrize("name", RELAXED)
def test_a_space_that_cannot_be_relaxed_is_an_error_before_anything_is_measured(name: str) -> None:
    with pytest.raises(NasplugError, match="ToySuper cannot be relaxed"):
        EVERY[name]().setup(Problem(ToySpace(), (TOP1,), task=Bits()))


def test_mistakes_are_named() -> None:
    for words, make in {
        r"strategy\.derived must be at least 1": lambda: FINDERS["darts"](derived=0),
        r"strategy\.sweep must be weights of at least 0": lambda: FINDERS["enas"](sweep=[-1.0]),
        r"0 <= weights_first < training\.epochs": lambda: Enas(Training(epochs=3), weights_first=3),
        r"epochs of strategy\.training must": lambda: Training(epochs=0),
        r"initial_temperature >= final_temperature > 0 must hold": lambda: Gumbel(
            initial_temperature=0.1, final_temperature=1.0
        ),
        r"paths .* must be 1 or 2": lambda: BinaryGates(3),
        r"strategy\.episodes must be at least 2": lambda: Enas(Training(), episodes=1),
        r"strategy\.evaluations must be": lambda: SinglePath(RandomSearch(), LEARN, evaluations=0),
    }.items():
        with pytest.raises(NasplugError, match=words):
            make()
    lonely = GradientSearch(Softmax(), Training(epochs=2, batch_size=96), weights_first=0)
    lonely.setup(Problem(Parts(), (TOP1,), task=Bits()))
    with pytest.raises(NasplugError, match=r"two batches an epoch.*batch_size"):
        ask(lonely, 1)
    wild = GradientSearch(
        Softmax(), Training(epochs=2, batch_size=12, lr=1e30, clip=0.0), weights_first=0
    )
    wild.setup(Problem(Parts(), (TOP1,), task=Bits()))
    with pytest.raises(NasplugError, match=r"finite loss.*strategy\.training\.lr"):
        ask(wild, 1)


# ---- as a user has them ----------------------------------------------------------------------------


def test_their_usual_evaluator_trains_and_can_be_changed() -> None:
    from nasplug.app.command_line.overrides import compose

    for choice in ("darts", "gdas", "snas", "proxyless", "enas", "spos", "random_one_shot"):
        chosen = compose(f"+strategy={choice}")
        assert chosen.evaluator._target_ == "nasplug_training.training.TrainingEvaluator"
        again = compose("evaluator=supernet", f"+strategy={choice}")
        assert again.evaluator._target_ == "nasplug_training.supernet.SuperNetEvaluator"
        assert nasplug.make("strategy", choice, training=LEARN).training is LEARN


def test_a_search_from_python(tmp_path: Any) -> None:
    space, task = Parts(), Bits()
    training = nasplug.make(
        "evaluator", "training", space=space, task=task, epochs=3, keep=False, batch_size=12
    )
    costs = nasplug.make("evaluator", "costs", space=space)
    strategy = FINDERS["gdas"](derived=2)
    run = nasplug.search(space, [training, costs], strategy, ["top1", "macs"], 8, task=task)
    front = run.front()
    assert len(run.records) == 8 and front["top1"].max() > 80 and front["macs"].min() == 0
    assert list(islice((r.arch for r in run.records), 1)) == [(2, 2, 2)]
