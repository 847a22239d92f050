"""The two spaces of TransNAS-Bench-101: sizes, notation, networks and their costs."""

import numpy as np
import pytest
from nasplug_tables.spaces.transnasbench101_macro import KINDS, TransNasBench101Macro
from nasplug_tables.spaces.transnasbench101_micro import TransNasBench101Micro

from nasplug import NasplugError
from nasplug.testing import SpaceContract
from nasplug.toolkit.networks.counting import multiply_adds, parameters


class TestMicroContract(SpaceContract):
    @pytest.fixture
    def space(self):
        return TransNasBench101Micro(channels=4, skeleton="14", image_size=16)


class TestMacroContract(SpaceContract):
    @pytest.fixture
    def space(self):
        return TransNasBench101Macro(channels=2, image_size=16)


def test_sizes_are_the_published():
    assert TransNasBench101Micro().size == 4096
    assert TransNasBench101Macro().size == 3256


def test_published_cell():
    """The example of the benchmark: 02 is none from node 0 and a 1 x 1 convolution from node 1."""
    space = TransNasBench101Micro()
    config = space.config(space.parse("64-41414-1_02_333"))
    assert config["edge01"] == "skip_connect" and config["edge02"] == "none"
    assert config["edge12"] == "conv_1x1"
    assert {config[f"edge{s}3"] for s in (0, 1, 2)} == {"conv_3x3"}
    assert space.parse("1_02_333") == space.parse("64-41414-1_02_333")


def test_published_skeleton():
    space = TransNasBench101Macro()
    config = space.config(space.parse("64-1234-basic"))
    assert config == {"modules": 4, **{f"module{n}": k for n, k in enumerate(KINDS, start=1)}}


@pytest.mark.parametrize("space", [TransNasBench101Micro(), TransNasBench101Macro()])
def test_notation_and_back(space):
    texts = {space.format(arch) for arch in space.valid(space.enumerate())}
    assert len(texts) == space.size
    for arch in space.valid(space.sample(50, np.random.default_rng(0))):
        assert space.parse(space.format(arch)) == arch


@pytest.mark.parametrize(
    "text", ["", "1_02_334", "64-41414-1_02", "64-1111-1_02_333", "1_02_333_1", "64-1234-basic"]
)
def test_other_cells_are_refused_in_one_line(text):
    with pytest.raises(NasplugError, match="must be written like") as error:
        TransNasBench101Micro().parse(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["", "64-123-basic", "64-1235-basic", "64-1111-basic", "64-222214-basic", "64-333334-basic"],
)
def test_other_skeletons_are_refused_in_one_line(text):
    """Too short, an unknown digit, never or too often doubled, too often halved."""
    with pytest.raises(NasplugError, match="must be written like") as error:
        TransNasBench101Macro().parse(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("size", [9, 16])
def test_costs_equal_counting_at_odd_sizes(size):
    micro = TransNasBench101Micro(4, "1234", num_classes=3, in_channels=1, image_size=size)
    macro = TransNasBench101Macro(4, num_classes=3, in_channels=1, image_size=size)
    for space, texts in (
        (micro, ("1_11_111", "0_00_000", "3_12_302")),
        (macro, ("64-1234-basic", "64-411143-basic")),
    ):
        for arch in map(space.parse, texts):
            network = space.build(arch)
            assert space.costs([arch])["params"][0] == parameters(network)
            assert space.costs([arch])["macs"][0] == multiply_adds(network, space.example_inputs(1))


def test_extremes():
    """The fewest weights, and the most multiply-adds."""
    space = TransNasBench101Macro()
    every = space.costs(space.enumerate())
    assert space.costs([space.smallest])["params"][0] == every["params"].min()
    assert space.costs([space.largest])["macs"][0] == every["macs"].max()


def test_impossible_knobs_are_refused():
    with pytest.raises(NasplugError, match="even"):
        TransNasBench101Micro(channels=3)
    with pytest.raises(NasplugError, match="skeleton must be"):
        TransNasBench101Micro(skeleton="05")
