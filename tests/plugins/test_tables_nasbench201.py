"""The space of NAS-Bench-201: cells, notation, isomorphism, networks and their costs."""

import numpy as np
import pandas as pd
import pytest
import torch
from nasplug_tables.spaces.nasbench201 import OPERATIONS, NasBench201

from nasplug import NasplugError, seeded
from nasplug.testing import SpaceContract
from nasplug.toolkit.networks.counting import multiply_adds, parameters

BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"


class TestContract(SpaceContract):
    @pytest.fixture
    def space(self):
        return NasBench201(channels=4, cells=1, image_size=8)


def test_isomorphic_cells_are_one():
    assert NasBench201().size == 6466
    assert NasBench201(isomorphic=False).size == 5**6


def test_notation_and_back():
    space = NasBench201(isomorphic=False)
    arch = space.parse(BEST)
    assert [OPERATIONS[i] for i in arch] == [
        *("nor_conv_3x3", "nor_conv_3x3", "nor_conv_3x3"),
        *("skip_connect", "nor_conv_3x3", "nor_conv_1x1"),
    ]
    for row in space.sample(50, np.random.default_rng(0)):
        arch = tuple(row.tolist())
        assert space.parse(space.format(arch)) == arch


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nor_conv_3x3",
        BEST[:-1],
        BEST.replace("~2", "~1"),
        BEST.replace("nor_conv_1x1", "nor_conv_5x5"),
        BEST + "+|none~0|",
    ],
)
def test_other_notations_are_refused_in_one_line(text):
    with pytest.raises(NasplugError, match="must be written like") as error:
        NasBench201().parse(text)
    assert "\n" not in str(error.value)


def test_skips_and_dead_ends_make_no_difference():
    space = NasBench201()
    direct = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|"
    swapped = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|skip_connect~2|"
    dead = "|nor_conv_1x1~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|skip_connect~2|"
    assert space.parse(swapped) == space.parse(dead)
    assert space.parse(direct) == space.parse(swapped)


def test_equal_expressions_compute_the_same():
    """Weights copied along, a cell and its representative give equal outputs where each convolution
    is used once."""
    first = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|"
    second = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|skip_connect~2|"
    raw = NasBench201(channels=4, cells=1, isomorphic=False)
    with seeded(0):
        one, two = (raw.build(raw.parse(text)).eval() for text in (first, second))
    values = one.state_dict().values()
    two.load_state_dict(dict(zip(two.state_dict(), values, strict=True)))
    x = torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32)
    assert torch.equal(one(x), two(x))


def test_costs_equal_counting_with_dead_ends():
    space = NasBench201(num_classes=7, in_channels=1, image_size=8, isomorphic=False)
    for row in space.sample(3, np.random.default_rng(1)):
        arch = tuple(row.tolist())
        network = space.build(arch)
        assert space.costs([arch])["params"][0] == parameters(network)
        assert space.costs([arch])["macs"][0] == multiply_adds(network, space.example_inputs(1))


def test_image_size_must_halve_twice():
    with pytest.raises(NasplugError, match="multiple of 4"):
        NasBench201(image_size=30)


def test_published_isomorphism_and_parameters(shared_data):
    table = pd.read_csv(shared_data / "nb201" / "nb201.csv.gz")
    space = NasBench201()
    pairs = pd.DataFrame({"iso": table.iso, "arch": [space.parse(text) for text in table.arch]})
    assert pairs.groupby("iso").arch.nunique().max() == 1
    assert pairs.groupby("arch").iso.nunique().max() == 1
    scores = pd.read_csv(shared_data / "zero_cost" / "nb201_zc13_725.csv.gz")
    scores = scores[scores.task == "cifar10"]
    raw = NasBench201(isomorphic=False)
    params = raw.costs([raw.parse(text) for text in scores.arch])["params"]
    assert np.abs(params / 1e6 - scores.params).max() < 1e-9
