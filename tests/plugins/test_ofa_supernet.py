"""The once-for-all super-networks: published state dicts, exact extraction, training, sorting."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from nasplug_ofa.spaces.mobilenetv3 import OfaMobileNetV3
from nasplug_ofa.spaces.proxyless import OfaProxylessNAS
from nasplug_ofa.spaces.resnet import OfaResNet50
from torch.nn import functional

from nasplug import seeded
from nasplug.elastic import Elastic
from nasplug.testing import SuperNetworkContract

PUBLISHED = [
    ("ofa_mbv3_d234_e346_k357_w1.0", OfaMobileNetV3, {}, 7_678_880),
    ("ofa_mbv3_d234_e346_k357_w1.2", OfaMobileNetV3, {"width_mult": 1.2}, 10_715_752),
    ("ofa_proxyless_d234_e346_k357_w1.3", OfaProxylessNAS, {}, 7_956_882),
    ("ofa_resnet50", OfaResNet50, {}, 48_105_992),
]


class TestMobileNetV3(SuperNetworkContract):
    @pytest.fixture
    def space(self):
        return OfaMobileNetV3(num_classes=7, image_size=32, in_channels=1)


class TestProxylessNAS(SuperNetworkContract):
    samples = 2

    @pytest.fixture
    def space(self):
        return OfaProxylessNAS(width_mult=0.5, num_classes=7, image_size=40)


class TestResNet50(SuperNetworkContract):
    samples = 1

    @pytest.fixture
    def space(self):
        return OfaResNet50(num_classes=7, image_size=32)

    def test_unsampled_weights_have_no_influence(self, space, monkeypatch):
        """With leaky units: a gradient of zero must mean a weight not used, not a dead unit."""

        def leaky(x, inplace=False):
            return functional.leaky_relu(x, 0.3)

        monkeypatch.setattr(functional, "relu", leaky)
        super().test_unsampled_weights_have_no_influence(space)


@pytest.fixture(scope="module")
def space():
    return OfaMobileNetV3(num_classes=10, image_size=32, dropout=0.0)


@pytest.fixture
def network(space):
    """Random in every number: weights, matrices, statistics."""
    return SuperNetworkContract().make(space)


@pytest.mark.parametrize(("published", "kind", "knobs", "params"), PUBLISHED)
def test_state_dict_is_the_published_one(shared_data, published, kind, knobs, params):
    shapes = json.loads((shared_data / "ofa/state_dict_shapes.json").read_text())[published]
    with torch.device("meta"):
        network = kind(**knobs).supernet()
    assert {key: list(t.shape) for key, t in network.state_dict().items()} == shapes
    assert sum(p.numel() for p in network.parameters()) == params


def test_fifty_random_networks_and_the_extremes_are_extracted_exactly(space, network):
    (x,) = space.example_inputs(2)
    drawn = space.valid(space.sample(50, np.random.default_rng(0)))
    with torch.no_grad():
        for arch in [*drawn, space.smallest, space.largest]:
            network.activate(arch)
            plain = network.extract(arch)
            assert (network(x) - plain(x)).abs().max() < 1e-5
            assert not any("matrix" in name for name in plain.state_dict())
            assert not any(isinstance(module, Elastic) for module in plain.modules())


def test_outputs_differ_between_architectures(space, network):
    (x,) = space.example_inputs(2)
    archs = space.valid(space.sample(5, np.random.default_rng(0)))
    with torch.no_grad():
        outputs = torch.stack([network.extract(arch)(x) for arch in archs])
    assert (outputs[:, None] - outputs[None]).abs().amax((2, 3)).add(torch.eye(5)).min() > 1e-4


def test_a_training_step_is_the_plain_networks(space, network):
    """Loss, gradients and statistics: slices of the super-network's equal the extracted one's."""
    (x,) = space.example_inputs(8)
    target = torch.arange(8)
    for arch in space.valid(space.sample(3, np.random.default_rng(2))):
        network.train().double()
        network.activate(arch)
        network.zero_grad(set_to_none=True)
        plain = network.extract(arch)
        for net in (network, plain):
            functional.cross_entropy(net(x.double()), target).backward()
        first, expected = network.first_conv.conv.weight.grad, plain.first_conv.conv.weight.grad
        torch.testing.assert_close(first, expected)
        grad = network.blocks[1].conv.point_linear.conv.weight.grad
        expected = plain.blocks[1].conv.point_linear.conv.weight.grad
        torch.testing.assert_close(grad[:, : expected.shape[1]], expected)
        assert not grad[:, expected.shape[1] :].any()
        statistics = network.blocks[1].conv.depth_conv.bn.running_var
        expected = plain.blocks[1].conv.depth_conv.bn.running_var
        torch.testing.assert_close(statistics[: len(expected)], expected)
        skipped = set(range(21)) - set(network.blocks.running)
        assert all(p.grad is None for i in skipped for p in network.blocks[i].parameters())


def test_extraction_keeps_mode_and_active_architecture(space, network):
    network.activate(space.smallest)
    assert not network.extract(space.largest).training
    assert network.arch == space.smallest
    assert network.train().extract(space.largest).training


def test_copies_and_pickles(space, network):
    (x,) = space.example_inputs(2)
    network.activate(space.smallest)
    with torch.no_grad():
        for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
            assert torch.equal(other(x), network(x))
            other.activate(space.largest)
            assert network.arch == space.smallest


def importance(network, block):
    return network.blocks[block].conv.point_linear.conv.weight.abs().sum((0, 2, 3))


def test_sorting_puts_important_channels_first(network):
    assert (importance(network, 9).diff() > 0).any()
    network.sort_channels()
    for block in range(1, 21):
        assert (importance(network, block).diff() <= 0).all()
        conv = network.blocks[block].conv.depth_conv
        for name, excite in conv.named_children():
            if name == "se":
                assert (excite.fc.expand.weight.abs().sum((0, 2, 3)).diff() <= 1e-5).all()


def test_sorting_keeps_the_channels_of_trained_networks(space, network):
    (x,) = space.example_inputs(2)
    config = {"ks": [5] * 20, "e": [4] * 20, "d": [3] * 5}
    network.activate(space.from_ofa(config))
    with torch.no_grad():
        # The inner channels of squeeze-and-excite are reordered as a whole, as published: here
        # they are equal, so that nothing but the bands can change the output.
        for name, parameter in network.named_parameters():
            if ".se.fc." in name and "weight" in name:
                parameter.fill_(0.01)
            elif ".se.fc." in name:
                parameter.zero_()
        before = network(x)
        network.sort_channels(trained=1)
        torch.testing.assert_close(network(x), before)
        width = network.layout.slots[8][2].middle(4)
        assert (importance(network, 9)[:width].diff() <= 0).all()
        network.sort_channels()
        assert (network(x) - before).abs().max() > 1e-4


def test_sorting_a_resnet_keeps_the_largest_and_sorts_twice_a_block():
    space = OfaResNet50(num_classes=5, image_size=32)
    with seeded(0):
        network = space.supernet().eval()
    (x,) = space.example_inputs(1)
    with torch.no_grad():
        before = network(x)
        network.sort_channels()
        torch.testing.assert_close(network(x), before, rtol=1e-4, atol=1e-4)
        for block in network.blocks.children():
            norms = block.conv3.conv.weight.abs().sum((0, 2, 3))
            assert (norms.diff() <= 1e-4).all()


def test_published_addresses_only_where_the_weights_fit():
    with torch.device("meta"):
        assert OfaMobileNetV3().supernet().published.endswith("/ofa_mbv3_d234_e346_k357_w1.0")
        assert OfaMobileNetV3(1.2).supernet().published.endswith("_w1.2")
        assert OfaMobileNetV3(0.5).supernet().published is None
        assert OfaMobileNetV3(num_classes=10).supernet().published is None
        assert OfaProxylessNAS().supernet().published.endswith("_w1.3")
        assert OfaProxylessNAS(in_channels=1).supernet().published is None
        assert OfaResNet50().supernet().published.startswith("https://huggingface.co/")
