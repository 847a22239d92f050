"""The space `denas_cnn`, its networks and super-network."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from nasplug_denas.cnn import plainnet
from nasplug_denas.cnn.network import ElasticKinds
from nasplug_denas.cnn.space import DenasCnn
from torch import nn
from torch.nn import functional

from nasplug import NasplugError, make, seeded
from nasplug.elastic import Residual
from nasplug.testing import SpaceContract, SuperNetworkContract

SEED = (
    "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK3K3(16,32,2,16,1)"
    "SuperResK3K3(32,64,2,32,1)SuperResK3K3(64,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
)
WIDER = SEED.replace("SuperResK3K3(64,64,2,32,1)", "SuperResK5K5(64,64,2,48,2)")
MIXED = (
    "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK1K3K1(16,40,2,16,1)"
    "SuperResK5K5(40,96,2,40,2)SuperResK3K3(96,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
)
MIDDLE = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)SuperConvK1BNRELU(16,24,1,1)"


def small(**changes):
    sizes = dict(
        num_classes=5,
        image_size=7,
        in_channels=1,
        structure=(
            "SuperConvK3BNRELU(3,8,2,2)SuperResK3K3(8,16,1,8,1)SuperResK5K5(16,16,2,16,2)"
            "SuperConvK1BNRELU(16,24,1,1)"
        ),
        kernels=(3, 7),
        ratios=(1.0, 0.5),
        sublayer_changes=(1, -1, 0),
    )
    return DenasCnn(**{**sizes, **changes})


def tiny(**changes):
    """All of whose architectures can be listed."""
    return small(structure=MIDDLE, image_size=6, **changes)


class TestTiny(SpaceContract):
    @pytest.fixture
    def space(self):
        return tiny()


class TestOneKind(SpaceContract):
    @pytest.fixture
    def space(self):
        return tiny(kinds=("bottleneck",), kernels=(3,), zero_last_norm=False)


class TestDefault(SpaceContract):
    @pytest.fixture
    def space(self):
        return make("space", "denas_cnn", image_size=8, in_channels=1)


class TestElastic(SuperNetworkContract):
    @pytest.fixture
    def space(self):
        return small()


# ---- known answers -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published():
    return make("space", "denas_cnn_published")


def test_the_published_moves(published):
    """One move of each block, without repeats, as counted with the original."""
    options = Counter()
    moves = dict.fromkeys(("stem", *(f"block{k}" for k in range(1, 5)), "tail"), 1)
    for variable in published.variables:
        moves[variable.name.split(".")[0]] *= len(variable.options)
        options[variable.name] += 1
    assert list(moves.values()) == [2, 180, 630, 1134, 1134, 9]
    assert set(options.values()) == {1}
    assert published.size == 2 * 180 * 630 * 1134 * 1134 * 9
    assert published._channels(32) == (16, 24, 32, 40, 48, 64, 80)


@pytest.mark.parametrize(
    ("text", "params", "layers"),
    [(SEED, 102_572, 6), (WIDER, 373_164, 7), (MIXED, 416_644, 7)],
)
def test_the_published_networks(published, text, params, layers):
    arch = published.from_plainnet(text)
    assert published.to_plainnet(arch) == text
    costs = published.costs([arch])
    assert (costs["params"][0], costs["layers"][0]) == (params, layers)
    for network in (published.build(arch), published.plainnet_network(text)):
        assert sum(p.numel() for p in network.parameters()) == params


def test_limits_are_kept_on_layers_params_and_macs(published):
    drawn = published.sample(200, np.random.default_rng(0))
    costs = published.costs(drawn)
    for arch, layers in zip(map(tuple, drawn.tolist()), costs["layers"], strict=True):
        assert layers == sum(b.sublayers for b in published.blocks(arch))
    evaluator = make("evaluator", "costs", space=published)
    assert {"layers", "params", "macs"} <= set(evaluator.metrics)


# ---- notation ----------------------------------------------------------------------------------


def test_plainnet_strings_and_back(published):
    for space in (published, small()):
        for arch in map(tuple, space.sample(50, np.random.default_rng(0)).tolist()):
            text = space.to_plainnet(arch)
            assert space.from_plainnet(text) == arch
            assert plainnet.text(plainnet.parse(text.replace("Super", " \nSuper"))) == text


def test_a_network_that_no_option_has_is_built(published):
    text = (
        "SuperConvK5BNRELU(3,12,2,2)SuperResK7K7(12,20,1,4,1)SuperConvK3BNRELU(20,20,1,1)"
        "SuperResK1K5K1(20,36,2,12,3)SuperResK1K1K1(36,36,1,8,1)"
    ).replace("SuperResK1K1K1(36,36,1,8,1)", "SuperResK3K3(36,36,1,8,1)")
    network = published.plainnet_network(text)
    assert network.training and network(torch.zeros(2, 3, 32, 32)).shape == (2, 100)
    kernels = Counter(m.kernel_size[0] for m in network.modules() if isinstance(m, nn.Conv2d))
    # 2 of the stem; 2; one and a shortcut each; 3 x 2 x 1 of kernel 5 and 12 of 1
    assert kernels == {5: 2 + 6, 7: 2, 3: 1 + 2, 1: 3 + 12}
    with pytest.raises(NasplugError, match="has 6 blocks, but got 5"):
        published.from_plainnet(text)


def test_channels_of_the_images_are_the_tasks():
    space = tiny()
    assert space.from_plainnet(MIDDLE) == space.from_plainnet(MIDDLE.replace("(3,", "(1,"))
    text = space.to_plainnet(space.from_plainnet(MIDDLE))
    assert text == MIDDLE.replace("(3,", "(1,")
    assert space.plainnet_network(MIDDLE)(torch.zeros(2, 1, 6, 6)).shape == (2, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.from_plainnet(""), "must be a row of SuperConv"),
        (lambda s: s.from_plainnet(MIDDLE + "x"), "but got 'x'"),
        (lambda s: s.from_plainnet("SuperResK3K5(8,8,1,8,1)"), "but got 'SuperResK3K5"),
        (lambda s: s.from_plainnet("SuperResK3K3(8,8,1,8)"), "must have 5 positive numbers"),
        (lambda s: s.from_plainnet("SuperConvK3BNRELU(8,8,0,1)"), "must have 4 positive numbers"),
        (lambda s: s.from_plainnet("SuperResK9K9(8,8,1,8,1)"), "must be one of \\[3, 5, 7\\]"),
        (lambda s: s.from_plainnet("SuperResK1K1K1(8,8,1,8,1)"), "must be one of \\[3, 5, 7\\]"),
        (lambda s: s.from_plainnet(MIDDLE.replace("(16,24", "(12,24")), "as many channels"),
        (lambda s: s.from_plainnet(MIDDLE), "has 4 blocks, but got 3"),
        (lambda s: tiny().from_plainnet(MIDDLE.replace("8,1,1)", "8,2,1)")), "stride 1"),
        (lambda s: tiny().from_plainnet(MIDDLE.replace("16,2,8", "16,1,8")), "stride 2"),
        (lambda s: tiny().from_plainnet(MIDDLE.replace("ConvK1", "ConvK3")), "kernel 1"),
        (lambda s: tiny().from_plainnet(MIDDLE.replace("2,8,1", "2,24,1")), "block1.bottleneck"),
        (lambda s: small(structure="SuperConvK3BNRELU(3,8,1,1)"), "must begin and end"),
        (lambda s: small(structure=MIDDLE.replace("ConvK1BNRELU(16,24,1,1)", "ResK3K3(16,8,1,8,1)")),
         "must begin and end"),
        (lambda s: small(kernels=(3, 3)), "kernels must be distinct"),
        (lambda s: small(ratios=()), "ratios must be distinct"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(call, message):
    with pytest.raises(NasplugError, match=message) as error:
        call(small())
    assert "\n" not in str(error.value)


def test_dimensions_follow_the_task():
    task = make("task", "digits", image_size=16)
    space = make("space", "denas_cnn", **task.network_dimensions)
    assert (space.num_classes, space.image_size, space.in_channels) == (10, 16, 1)
    assert space.build(space.smallest)(*space.example_inputs(2)).shape == (2, 10)


# ---- networks ----------------------------------------------------------------------------------


def by_hand(network, blocks, x):
    """The forward pass of a plain network from its weights in their order, as published."""
    weights = iter(network.state_dict().values())

    def conv(x, stride=1, bias=False):
        w = next(weights)
        b = next(weights) if bias else None
        x = functional.conv2d(x, w, b, stride, w.shape[-1] // 2)
        gamma, beta, mean, var, _ = (next(weights) for _ in range(5))
        return functional.batch_norm(x, mean, var, gamma, beta, eps=1e-3)

    for block in blocks:
        for k in range(block.sublayers):
            stride = 1 if k else block.stride
            if block.kind == "conv":
                x = conv(x, stride).relu()
                continue
            for part in range(2 if block.kind == "bottleneck" else 1):
                now = 1 if part else stride
                if block.kind == "basic":
                    y = conv(conv(x, now).relu())
                else:
                    y = conv(conv(conv(x).relu(), now).relu())
                x = (y + (x if k or part else conv(x, now, bias=True))).relu()
    return functional.linear(x.mean((2, 3)), next(weights), next(weights))


@torch.no_grad()
def test_networks_compute_what_is_published():
    space = small()
    (images,) = space.example_inputs(3)
    drawn = [space.largest, space.smallest, *map(tuple, space.sample(6, np.random.default_rng(1)))]
    kinds = set()
    for arch in drawn:
        arch = tuple(int(gene) for gene in arch)
        blocks = space.blocks(arch)
        kinds |= {block.kind for block in blocks}
        with seeded(0):
            network = space.build(arch)
            for tensor in network.state_dict().values():
                if tensor.is_floating_point():
                    tensor.copy_(torch.rand_like(tensor) + 0.1)
        found = network.eval()(images)
        torch.testing.assert_close(found, by_hand(network, blocks, images), rtol=1e-4, atol=1e-4)
    assert kinds == {"conv", "basic", "bottleneck"}


def test_a_built_network_is_that_of_its_string():
    space = small()
    for arch in map(tuple, space.sample(5, np.random.default_rng(1)).tolist()):
        built, other = space.build(arch), space.plainnet_network(space.to_plainnet(arch))
        assert str(built) == str(other)
        other.load_state_dict(built.state_dict())


@torch.no_grad()
def test_a_small_kernel_is_the_centre_and_a_kind_has_weights_of_its_own():
    space = small()
    with seeded(0):
        network = space.supernet()
    config = space.config(space.largest)
    block = network.model.blocks[1]
    assert isinstance(block, ElasticKinds)
    for kind in ("basic", "bottleneck"):
        chosen = {**config, "block1.kind": kind, "block1.kernel": 3, "block1.sublayers": 1}
        alone = network.extract(space.arch(chosen)).blocks[1]
        assert len(alone) == 1
        place = 0 if kind == "basic" else 3
        full = getattr(block, kind)[0][0][0].body[place].weight
        assert torch.equal(alone[0][0].body[place].weight, full[:, :, 2:-2, 2:-2])


def test_fresh_weights_are_drawn_as_published():
    space = DenasCnn(structure=SEED, num_classes=10)
    arch = space.arch({**space.config(space.largest), "block1.kind": "bottleneck"})
    for network in (space.build(arch), space.supernet().model):
        blocks = [m for m in network.modules() if isinstance(m, Residual)]
        assert blocks
        for block in blocks:
            norms = [m for m in block.modules() if isinstance(m, nn.BatchNorm2d)]
            zero = [bool((norm.weight == 0).all()) for norm in norms]
            assert sum(zero) == 1 and (block.body[-1].weight == 0).all()
        for conv in (m for m in network.modules() if isinstance(m, nn.Conv2d)):
            if conv.weight.numel() > 5000:
                fans = (conv.in_channels + conv.out_channels) * conv.kernel_size[0] ** 2
                expected = 3.26033 * (2 / fans) ** 0.5
                assert conv.weight.std().item() == pytest.approx(expected, rel=0.06)
            assert conv.bias is None or (conv.bias == 0).all()
    other = DenasCnn(structure=SEED, num_classes=10, zero_last_norm=False)
    norms = [m for m in other.build(arch).modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and all((norm.weight == 1).all() for norm in norms)


def test_the_structure_itself_is_in_the_space():
    """Though its channels be no multiple of 8."""
    odd = MIDDLE.replace("(3,8,", "(3,6,").replace("(8,16,2,8", "(6,20,2,9").replace("(16", "(20")
    space = small(structure=odd, image_size=6)
    first, *others = plainnet.parse(odd)
    expected = plainnet.text([replace(first, in_channels=1), *others])
    assert space.to_plainnet(space.from_plainnet(odd)) == expected
