"""The once-for-all spaces: variables, sizes, and costs against published and counted numbers."""

import ast
import csv
import json
import time

import numpy as np
import pytest
from nasplug_ofa.spaces.mobilenetv3 import OfaMobileNetV3
from nasplug_ofa.spaces.proxyless import OfaProxylessNAS
from nasplug_ofa.spaces.resnet import OfaResNet50

from nasplug import NasplugError, choices, make
from nasplug.elastic import make_divisible
from nasplug.testing import SpaceContract

PUBLISHED = {
    "ofa_mbv3_d234_e346_k357_w1.0": "ofa_mbv3",
    "ofa_mbv3_d234_e346_k357_w1.2": "ofa_mbv3_w12",
    "ofa_proxyless_d234_e346_k357_w1.3": "ofa_proxyless",
    "ofa_resnet50": "ofa_resnet50",
}
EXTREMES = {
    "ofa_mbv3": ((3_410_792, 121_278_672), (7_664_760, 566_170_656)),
    "ofa_mbv3_w12": ((4_602_456, 193_078_200), (10_701_632, 843_101_040)),
    "ofa_proxyless": ((3_718_832, 265_526_256), (7_942_056, 1_004_908_032)),
    "ofa_resnet50": ((6_539_280, 962_192_128), (48_105_992, 7_491_643_904)),
}


def pairs(costs):
    return list(zip(costs["params"].tolist(), costs["macs"].tolist(), strict=True))


class TestMobileNetV3(SpaceContract):
    samples = 2

    @pytest.fixture
    def space(self):
        return OfaMobileNetV3(num_classes=7, image_size=40, in_channels=1)


class TestProxylessNAS(SpaceContract):
    samples = 1

    @pytest.fixture
    def space(self):
        return OfaProxylessNAS(width_mult=0.35, num_classes=7, image_size=33)


class TestResNet50(SpaceContract):
    samples = 1

    @pytest.fixture
    def space(self):
        return OfaResNet50(num_classes=7, image_size=33)


def test_sizes():
    assert make("space", "ofa_mbv3").size == 7371**5
    assert OfaProxylessNAS().size == 7371**5 * 9
    # Per stage of base depth b: sum of 3^(b + d) for d in 0..2, times 3 widths; the stem: 3 widths,
    # 2 distinct inner widths, with or without its residual convolution.
    assert OfaResNet50().size == 117**3 * 1053 * 3**4 * 3 * 2 * 2


@pytest.mark.parametrize("choice", EXTREMES)
def test_published_extremes(choice):
    space = make("space", choice)
    assert pairs(space.costs([space.smallest, space.largest])) == list(EXTREMES[choice])


@pytest.mark.parametrize("published", PUBLISHED)
def test_every_reference_network_costs_what_it_should(shared_data, published):
    space = make("space", PUBLISHED[published])
    known = json.loads((shared_data / "ofa/reference.json").read_text())[published]["subnets"]
    archs = [space.from_ofa(net["config"]) for net in known]
    assert len(set(archs)) == len(known) >= 3
    assert pairs(space.costs(archs)) == [(net["params"], net["macs"]) for net in known]


@pytest.mark.parametrize("search", ["evonsga2", "linasnsga2"])
def test_every_recorded_measurement_has_the_recorded_costs(shared_data, search):
    space = OfaMobileNetV3()
    with open(shared_data / f"ofa/mbnv3w10_{search}_acc_macs.csv") as file:
        rows = list(csv.DictReader(file))
    archs = [space.from_ofa(ast.literal_eval(row["Sub-network"])) for row in rows]
    recorded = [(int(row["Model Parameters"]), int(row["MACs"])) for row in rows]
    assert len(rows) >= 540
    assert pairs(space.costs(archs)) == recorded


def test_specialized_networks_at_their_own_image_sizes(shared_data):
    configs = json.loads((shared_data / "ofa/specialized_configs.json").read_text())
    known = json.loads((shared_data / "ofa/specialized_reference.json").read_text())
    by_name = {net["name"]: net for net in known}
    assert len(configs) >= 10
    for net in configs:
        space = OfaMobileNetV3(width_mult=float(net["width"]), image_size=net["image_size"])
        expected = by_name[net["name"]]
        found = pairs(space.costs([space.from_ofa(net["config"])]))
        assert found == [(expected["params"], expected["macs"])], net["name"]


@pytest.mark.parametrize("kind", [OfaMobileNetV3, OfaProxylessNAS, OfaResNet50])
def test_ten_thousand_architectures_in_under_a_second(kind):
    space = kind()
    archs = space.sample(10_000, np.random.default_rng(0))
    start = time.process_time()
    costs = space.costs(archs)
    assert time.process_time() - start < 1
    few = space.costs(archs[:5].tolist())
    assert (few["params"] == costs["params"][:5]).all()


@pytest.mark.parametrize("kind", [OfaMobileNetV3, OfaProxylessNAS, OfaResNet50])
def test_published_configurations_and_back(kind):
    space = kind()
    drawn = space.valid(space.sample(50, np.random.default_rng(0)))
    for arch in [*drawn, space.smallest, space.largest]:
        config = space.to_ofa(arch)
        assert space.from_ofa({**config, "r": [224], "wid": None}) == arch
        assert json.loads(json.dumps(config)) == config


def test_unused_slots_do_not_matter():
    space = OfaMobileNetV3()
    config = {"ks": [5] * 20, "e": [4] * 20, "d": [2, 3, 4, 2, 3]}
    other = {**config, "ks": [5, 5, 7, 3, *[5] * 16], "e": [4, 4, 0, None, *[4] * 16]}
    assert space.from_ofa(config) == space.from_ofa(other)


def test_two_published_ways_to_write_one_resnet_are_one_architecture():
    space = OfaResNet50()
    config = {"d": [0, 1, 1, 1, 1], "e": [0.25] * 18, "w": [0, 1, 1, 1, 1, 1]}
    assert space.from_ofa(config) == space.from_ofa({**config, "d": [1, 1, 1, 1, 1]})
    assert space.from_ofa(config) == space.from_ofa({**config, "w": [1, 1, 1, 1, 1, 1]})
    assert space.from_ofa(config) != space.from_ofa({**config, "d": [2, 1, 1, 1, 1]})
    assert space.from_ofa(config) != space.from_ofa({**config, "w": [2, 1, 1, 1, 1, 1]})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"ks": [3] * 20, "e": [3] * 20}, "'d' must be a list of 5 numbers, but got None"),
        ({"ks": [3] * 21, "e": [3] * 20, "d": [2] * 5}, "'ks' must be a list of 20 numbers"),
        ({"ks": [3] * 20, "e": [3] * 20, "d": [2, 2, 5, 2, 2]}, r"d\[2\] must be one of"),
        ({"ks": [4] * 20, "e": [3] * 20, "d": [2] * 5}, "stage1.block1.kernel must be one of"),
    ],
)
def test_a_wrong_configuration_is_answered(config, message):
    with pytest.raises(NasplugError, match=message):
        OfaMobileNetV3().from_ofa(config)


def slots(n):
    """Kernels and expand ratios that tell the blocks apart."""
    return {
        "ks": [(3, 5, 7)[i % 3] for i in range(n)],
        "e": [(3, 4, 6)[i // 2 % 3] for i in range(n)],
    }


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({**slots(21), "d": [2] * 6}, (4_622_808, 371_355_280)),
        ({**slots(21), "d": [4] * 6}, (6_070_584, 634_532_320)),
        ({**slots(20), "d": [2, 3, 4, 2, 3]}, (5_689_912, 482_960_424)),
        ({**slots(20), "d": [2, 3, 5, 2, 3, 4]}, (5_689_912, 482_960_424)),
    ],
    ids=["six 2s", "six 4s", "as DyNAS-T writes it", "depths above what there is"],
)
def test_proxyless_takes_configurations_as_the_authors_network_does(config, expected):
    """Params and MACs of what their `set_active_subnet` and `get_active_subnet` give."""
    space = OfaProxylessNAS()
    arch = space.from_ofa(config)
    assert pairs(space.costs([arch])) == [expected]
    assert space.from_ofa(space.to_ofa(arch)) == arch


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**slots(21), "d": [2] * 4}, "'d' must be a list of 6 numbers"),
        ({**slots(19), "d": [2] * 6}, "'ks' must be a list of 21 numbers"),
        ({**slots(21), "d": [1, 2, 2, 2, 2, 1]}, r"d\[0\] must be one of \[2, 3, 4\], but got 1"),
        ({**slots(21), "d": [2, 2, 2, 2, 2, 0]}, r"d\[5\] must be one of \[1\], but got 0"),
        ({**slots(21), "d": [2, "2", 2, 2, 2, 1]}, r"d\[1\] must be one of"),
    ],
)
def test_a_wrong_proxyless_configuration_is_answered(config, message):
    with pytest.raises(NasplugError, match=message):
        OfaProxylessNAS().from_ofa(config)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"width_mult": 0.0}, "width_mult of OfaMobileNetV3 must be float, above 0, but got 0.0"),
        ({"num_classes": 0}, "num_classes of OfaMobileNetV3 must be .*at least 1.*, but got 0"),
        ({"image_size": -1}, "image_size of OfaMobileNetV3 must be .*at least 1"),
        (
            {"dropout": 1.0},
            "dropout of OfaMobileNetV3 must be float, at least 0 and below 1, but got 1.0",
        ),
    ],
)
def test_wrong_knobs_are_answered(knobs, message):
    with pytest.raises(NasplugError, match=message):
        make("space", "ofa_mbv3", **knobs)


def test_a_space_that_no_task_fills_is_the_published_one():
    for choice in sorted(set(PUBLISHED.values())):
        assert choice in choices("space")
        space = make("space", choice)
        assert (space.num_classes, space.image_size, space.in_channels) == (1000, 224, 3)


def test_widths_are_divisible_and_not_much_smaller():
    assert [make_divisible(w * 1.2) for w in (16, 24, 40, 80, 112, 160)] == [
        24, 32, 48, 96, 136, 192,
    ]  # fmt: skip
    for width in range(1, 500):
        assert make_divisible(width) % 8 == 0
        assert make_divisible(width) >= 0.9 * width
