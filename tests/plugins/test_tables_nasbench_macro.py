"""The space of NAS-Bench-Macro: size, notation, networks and their costs."""

import numpy as np
import pytest
import torch
from nasplug_tables.spaces.nasbench_macro import NasBenchMacro

from nasplug import NasplugError, seeded
from nasplug.testing import SpaceContract
from nasplug.toolkit.networks.counting import multiply_adds, parameters


class TestContract(SpaceContract):
    @pytest.fixture
    def space(self):
        return NasBenchMacro(channels=2, stages=[2, 2], head=8, image_size=8)


class TestStringsContract(SpaceContract):
    @pytest.fixture
    def space(self):
        return NasBenchMacro(channels=2, stages=[1, 3], head=8, image_size=8, isomorphic=False)


def test_sizes():
    """All strings; and a stage's first layer, then a sequence of up to n - 1 blocks."""
    assert NasBenchMacro(isomorphic=False).size == 3**8
    assert NasBenchMacro().size == (3 * 3) * (3 * 7) * (3 * 7)


def test_where_nothing_stands_makes_no_difference():
    """The weights of one network give the same outputs in the other; a stage's first layer counts."""
    space = NasBenchMacro()
    assert space.format(space.parse("02002001")) == "02020010"
    assert space.parse("00000000") != space.parse("01000000") != space.parse("10000000")
    raw = NasBenchMacro(channels=2, stages=[1, 3], head=8, image_size=8, isomorphic=False)
    with seeded(0):
        one, two = (raw.build(raw.parse(text)).eval() for text in ("1102", "1120"))
    two.load_state_dict(dict(zip(two.state_dict(), one.state_dict().values(), strict=True)))
    x = torch.linspace(-1, 1, 3 * 64).view(1, 3, 8, 8)
    assert torch.equal(one(x), two(x))


def test_notation_and_back():
    space = NasBenchMacro()
    assert space.config(space.parse("01200000"))["layer3"] == "mb6_k5"
    for arch in space.valid(space.sample(50, np.random.default_rng(0))):
        assert space.parse(space.format(arch)) == arch


@pytest.mark.parametrize("text", ["", "0120", "01200003", "012000000"])
def test_other_notations_are_refused_in_one_line(text):
    with pytest.raises(NasplugError, match="8 digits of 0 to 2") as error:
        NasBenchMacro().parse(text)
    assert "\n" not in str(error.value)


def test_costs_equal_counting_at_an_odd_size():
    space = NasBenchMacro(channels=4, head=16, num_classes=3, in_channels=1, image_size=15)
    for arch in map(space.parse, ("00000000", "22222222", "01210212")):
        network = space.build(arch)
        assert space.costs([arch])["params"][0] == parameters(network)
        assert space.costs([arch])["macs"][0] == multiply_adds(network, space.example_inputs(1))


def test_stages_must_have_layers():
    with pytest.raises(NasplugError, match="from 1"):
        NasBenchMacro(stages=[2, 0])
