"""The evaluator of costs, against counting by hand, by fvcore and by the clock."""

import pickle
import time

import numpy as np
import pytest
import torch
from nasplug_costs.costs import Costs
from torch import nn
from torch.nn import functional

import nasplug
from nasplug import Measurement, NasplugError, SearchSpace, Variable
from nasplug.contracts.types import full_trials
from nasplug.toolkit.networks.counting import multiply_adds, parameters


class Convolutions(SearchSpace):
    """A convolution of elastic width, batch norm, pooling, a classifier."""

    variables = (Variable("width", (4, 6, 8)),)

    def build(self, arch):
        width = self.variables[0].options[arch[0]]
        return nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, 10),
        )

    def example_inputs(self, batch_size):
        return (torch.zeros(batch_size, 3, 8, 8),)


class Closed(Convolutions):
    """The same, with costs in closed form and one of its own."""

    def costs(self, archs):
        width = np.array([4.0, 6.0, 8.0])[np.asarray(archs)[:, 0]]
        params = 27 * width + 2 * width + 11 * width - width + 10
        return {"params": params, "macs": 27 * 64 * width + 10 * width, "depth": width * 0 + 2}

    def build(self, arch):
        raise AssertionError("closed forms need no network")


class Sleeper(SearchSpace):
    """A network that takes 10 milliseconds an example."""

    variables = (Variable("only", (0,)),)

    def build(self, arch):
        class Sleep(nn.Module):
            def forward(self, x):
                assert torch.is_inference_mode_enabled()
                assert not self.training
                time.sleep(0.01 * len(x))
                return x

        return Sleep()

    def example_inputs(self, batch_size):
        return (torch.zeros(batch_size, 1),)


def test_counts_by_hand_and_in_closed_form_agree():
    archs = [(0,), (1,), (2,)]
    names = ["macs", "params"]
    built = Costs(Convolutions()).evaluate(full_trials(archs), names)
    closed = Costs(Closed()).evaluate(full_trials(archs), names)
    for width, one, other in zip((4, 6, 8), built, closed, strict=True):
        assert one.values == other.values
        assert one.values["params"] == 27 * width + 2 * width + 10 * width + 10
        assert one.values["macs"] == 27 * width * 64 + 10 * width
        assert one.std == {}


def test_only_what_is_asked_is_measured_and_what_the_space_knows_is_said():
    evaluator = Costs(Closed())
    assert evaluator.closed_form == ("params", "macs", "depth")
    assert list(evaluator.metrics) == ["params", "macs", "depth", "latency"]
    assert Costs(Convolutions()).closed_form == ()
    assert evaluator.evaluate(full_trials([(2,)]), ["depth"])[0].values == {"depth": 2.0}
    assert {m.direction for m in evaluator.metrics.values()} == {"minimize"}


def test_latency_is_milliseconds_in_evaluation_mode():
    outcome = Costs(Sleeper(), warm_up=1, seconds=0.1).evaluate(full_trials([(0,)]), ["latency"])[0]
    assert isinstance(outcome, Measurement)
    assert 10 <= outcome.values["latency"] < 20
    assert 0 <= outcome.std["latency"] < 5
    assert outcome.seconds >= 0.1


class Decoder(Sleeper):
    """What is timed is three steps, not a forward pass."""

    def timed(self, network, inputs):
        for _ in range(3):
            network(*inputs)


def test_latency_is_of_what_the_space_says_is_timed():
    measured = [
        Costs(space, warm_up=1, seconds=0.05).evaluate(full_trials([(0,)]), ["latency"])[0]
        for space in (Sleeper(), Decoder())
    ]
    once, steps = (outcome.values["latency"] for outcome in measured)
    assert steps >= 30 and steps > 2 * once


def test_latency_grows_with_the_batch():
    one, many = (
        Costs(Sleeper(), warm_up=1, batch_size=b, seconds=0.02).evaluate(
            full_trials([(0,)]), ["latency"]
        )[0]
        for b in (1, 16)
    )
    assert many.values["latency"] > 4 * one.values["latency"]


def test_pickled_it_measures_the_same():
    evaluator = pickle.loads(pickle.dumps(Costs(Convolutions())))
    assert evaluator.evaluate(full_trials([(1,)]), ["macs"])[0].values["macs"] == 27 * 6 * 64 + 60


@pytest.mark.parametrize(
    "knobs",
    [{"batch_size": 0}, {"threads": 0}, {"warm_up": -1}, {"seconds": 0.0}, {"seconds": np.nan}],
)
def test_impossible_knobs_are_named(knobs):
    with pytest.raises(NasplugError, match=next(iter(knobs))):
        nasplug.make("evaluator", "costs", space=Convolutions(), **knobs)


def test_global_random_state_is_left_alone():
    state = torch.get_rng_state()
    Costs(Convolutions(), seconds=0.001).evaluate(
        full_trials([(0,)]), ["params", "macs", "latency"]
    )
    assert torch.equal(state, torch.get_rng_state())


# ---- counting ------------------------------------------------------------------------------------


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        return self.out(functional.scaled_dot_product_attention(q, k, v))


@pytest.mark.parametrize(
    ("model", "inputs", "expected"),
    [
        (nn.Conv2d(4, 8, 3, stride=2, groups=2), (torch.zeros(1, 4, 9, 9),), 8 * 16 * 18),
        (nn.ConvTranspose2d(4, 8, 2, stride=2), (torch.zeros(1, 4, 3, 3),), 4 * 9 * 8 * 4),
        (nn.Conv1d(2, 3, 5), (torch.zeros(1, 2, 9),), 3 * 5 * 10),
        (nn.Linear(5, 7), (torch.zeros(1, 4, 5),), 4 * 35),
        (Attention(), (torch.zeros(1, 5, 8),), 5 * 8 * 32 + 2 * 25 * 8),
        (
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
            (torch.zeros(1, 5, 8),),
            5 * 8 * 32 + 2 * 25 * 8 + 2 * 5 * 8 * 16,
        ),
        (nn.LSTM(3, 4, batch_first=True), (torch.zeros(1, 6, 3),), 6 * 4 * 4 * (3 + 4)),
        (nn.GRU(3, 4), (torch.zeros(6, 1, 3),), 6 * 3 * 4 * (3 + 4)),
        (nn.BatchNorm2d(3), (torch.zeros(1, 3, 4, 4),), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_multiply_adds_of_a_layer(model, inputs, expected):
    assert multiply_adds(model, inputs) == expected
    assert model.training, "its mode stays as it was"


def test_multiply_adds_agree_with_fvcore():
    analysis = pytest.importorskip("fvcore.nn").FlopCountAnalysis
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, bias=False),
        nn.BatchNorm2d(8),
        nn.Hardswish(),
        nn.Conv2d(8, 8, 5, groups=8, padding=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    ).eval()
    x = torch.zeros(1, 3, 32, 32)
    table = analysis(model, x).unsupported_ops_warnings(False).by_operator()
    assert multiply_adds(model, (x,)) == table["conv"] + table["linear"]


def test_shared_parameters_count_once():
    layer = nn.Linear(3, 3, bias=False)
    assert parameters(nn.Sequential(layer, nn.ReLU(), layer)) == 9
