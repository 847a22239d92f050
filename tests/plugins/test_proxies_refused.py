"""What proxies cannot score, and what they say then; and what they can, of integers."""

import pytest
import torch
from nasplug_proxies.evaluator import Proxies
from proxy_parts import Images, Reading, Stripes, Tokens
from torch import nn

import nasplug
from nasplug import Failure, NasplugError
from nasplug.contracts.types import full_trials


@pytest.fixture
def space():
    return Images()


def test_without_a_task_data_are_missed_in_one_line(space):
    with pytest.raises(NasplugError, match=r"snip needs data.*task=") as error:
        Proxies(space).evaluate(full_trials([(0, 0)]), ["snip"])
    assert "\n" not in str(error.value)


def test_class_labels_are_missed(space):
    class Regression(Stripes):
        def train_batches(self, batch_size, seed, epoch=0):
            yield torch.randn(batch_size, 3, 8, 8), torch.randn(batch_size)

    with pytest.raises(
        NasplugError, match="epe_nas needs a task whose batches end with one class label"
    ):
        Proxies(space, Regression(), 8).evaluate(full_trials([(0, 0)]), ["epe_nas"])


def test_too_few_batches_are_missed(space):
    class Short(Stripes):
        def train_batches(self, batch_size, seed, epoch=0):
            yield next(super().train_batches(batch_size, seed))

    with pytest.raises(NasplugError, match="2 training batches"):
        Proxies(space, Short(), 8).evaluate(full_trials([(0, 0)]), ["zico"])


@pytest.mark.parametrize("name", ["snip", "synflow", "fisher", "ntk", "l2_norm", "grasp", "zico"])
def test_a_network_without_layers_is_told_so(name):
    class Bare(Images):
        def build(self, arch):
            class Mean(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.scale = nn.Parameter(torch.ones(3))

                def forward(self, x):
                    return x.mean((2, 3)) * self.scale

            return Mean()

    (outcome,) = Proxies(Bare(), Stripes(), 8).evaluate(full_trials([(0, 0)]), [name])
    assert isinstance(outcome, Failure)
    assert outcome.error.startswith(f"{name}: the network must have convolution")


def test_not_finite_is_a_failure_with_its_reason():
    class Dead(Images):
        def build(self, arch):
            model = super().build(arch)
            nn.init.zeros_(model[-1].weight)
            return model

    (outcome,) = Proxies(Dead(), Stripes(), 8).evaluate(full_trials([(0, 0)]), ["jacob_cov"])
    assert outcome.error == "jacob_cov must be finite, but for this network it is nan"


COVERS_TOKENS = [
    *(
        "grad_norm",
        "snip",
        "plain",
        "grasp",
        "fisher",
        "synflow",
        "nwot",
        "swap",
        "swap_reg",
        "ntk",
    ),
    *("l2_norm", "params", "flops", "zico"),
]


@pytest.mark.parametrize("name", COVERS_TOKENS)
def test_sequences_of_integers_where_the_definition_allows(name):
    evaluator = Proxies(Tokens(), Reading(), batch_size=8)
    small, large = evaluator.evaluate(full_trials([(0,), (1,)]), [name])
    assert small.values[name] != large.values[name]


@pytest.mark.parametrize("name", ["jacob_cov", "epe_nas", "linear_regions"])
def test_integers_have_no_jacobian(name):
    (outcome,) = Proxies(Tokens(), Reading(), batch_size=8).evaluate(full_trials([(0,)]), [name])
    assert isinstance(outcome, Failure)
    assert "real numbers" in outcome.error


@pytest.mark.parametrize("knobs", [{"batch_size": 1}, {"repeats": 0}, {"population": 1}])
def test_impossible_knobs_are_named(knobs):
    with pytest.raises(NasplugError, match=next(iter(knobs))):
        nasplug.make("evaluator", "proxies", space=Images(), **knobs)
