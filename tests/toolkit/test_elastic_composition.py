"""Spaces composed of elastic layers: what follows from the model alone."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from nasplug import NasplugError, Variable, seeded
from nasplug.elastic import (
    Choice,
    Derived,
    Elastic,
    ElasticBatchNorm2d,
    ElasticConv2d,
    ElasticDepthwiseConv2d,
    ElasticEmbedding,
    ElasticGatedMLP,
    ElasticGroupNorm,
    ElasticLayerNorm,
    ElasticLinear,
    ElasticMLP,
    ElasticMultiheadAttention,
    ElasticRelativeBias,
    ElasticRelativeEmbedding,
    ElasticResidual,
    ElasticRMSNorm,
    ElasticSequential,
    ElasticSpace,
    ElasticSqueezeExcite,
    concat,
    flatten,
    make_divisible,
)
from nasplug.testing import SpaceContract, SuperNetworkContract
from nasplug.toolkit.networks.counting import multiply_adds, parameters


def rounded(width, ratio):
    return make_divisible(width * ratio)


def unit(conv, width):
    return nn.Sequential(conv, ElasticBatchNorm2d(width), nn.LeakyReLU(0.3))


class Block(nn.Module):
    """An inverted residual."""

    def __init__(self, name, width):
        super().__init__()
        inner = Derived(rounded, (width, Choice(f"{name}.expand", (1, 2))))
        kernel = Choice(f"{name}.kernel", (3, 5))
        self.expand = unit(ElasticConv2d(width, inner), inner)
        self.depthwise = unit(ElasticDepthwiseConv2d(inner, kernel), inner)
        self.excite = ElasticSqueezeExcite(inner)
        self.project = ElasticConv2d(inner, width)

    def forward(self, x):
        return x + self.project(self.excite(self.depthwise(self.expand(x))))


class Branches(nn.Module):
    """Two convolutions of widths of their own, joined."""

    def __init__(self, width):
        super().__init__()
        one, two = Choice("one", (4, 8)), Choice("two", (6, 10))
        self.one, self.two = (
            ElasticConv2d(width, one, Choice("one.kernel", (1, 3))),
            ElasticConv2d(width, two),
        )
        self.mixed = ElasticConv2d(concat(one, two), width)

    def forward(self, x):
        return self.mixed(torch.cat([self.one(x), self.two(x)], 1).tanh())


class Images(ElasticSpace):
    """A CNN with everything: depth, widths, kernels, groups, branches, a flattened head."""

    def __init__(self, classes: int = 5) -> None:
        self.classes = classes

    def model(self):
        width, depth = Choice("width", (8, 16, 24)), Choice("depth", (0, 1, 2))
        grouped = Choice("groups", (1, 2)) * 8
        return nn.Sequential(
            unit(ElasticConv2d(2, width, 3, stride=2), width),
            ElasticSequential(*(Block(f"block{k}", width) for k in (1, 2)), depth=depth),
            ElasticResidual(Branches(width), active=Choice("branches", (False, True))),
            ElasticConv2d(width, grouped),
            ElasticConv2d(grouped, grouped, 3, groups=2),
            ElasticGroupNorm(grouped // 8, grouped),
            nn.Conv2d(16, 16, 1) if self.classes > 99 else nn.LeakyReLU(0.3),
            nn.Flatten(),
            ElasticLinear(flatten(grouped, 16), self.classes),
        )

    def example_inputs(self, batch_size):
        generator = torch.Generator().manual_seed(0)
        return (torch.randn(batch_size, 2, 8, 8, generator=generator),)


class Layer(nn.Module):
    """A transformer layer: self-attention, cross-attention to the embedded tokens, feed-forward."""

    def __init__(self, name, width, relative, gated):
        super().__init__()
        heads, hidden = Choice(f"{name}.heads", (1, 2, 4)), Choice(f"{name}.ffn", (8, 20))
        self.norms = nn.ModuleList(
            [ElasticLayerNorm(width), ElasticRMSNorm(width), ElasticLayerNorm(width)]
        )
        self.attention = ElasticMultiheadAttention(width, heads, 4, fused=gated, relative=relative)
        self.cross = ElasticMultiheadAttention(
            width, Choice(f"{name}.cross", (2, 4)), qkv_dim=8, kv_dim=12
        )
        self.mlp = (ElasticGatedMLP if gated else ElasticMLP)(width, hidden)

    def forward(self, pair):
        x, memory = pair
        x = x + self.attention(self.norms[0](x), is_causal=True)
        padding = memory.mean(-1) > 1
        x = x + self.cross(self.norms[1](x), memory, key_padding_mask=padding)
        return x + self.mlp(self.norms[2](x)), memory


class Words(ElasticSpace):
    """A language model with everything: tied embeddings, two kinds of layers, elastic depth."""

    def model(self):
        return Transformer()

    def initialise(self, network):
        nn.init.normal_(network.embed.weight, std=0.1)

    def example_inputs(self, batch_size):
        return (torch.arange(batch_size * 6).view(batch_size, 6) % 13,)


class Transformer(nn.Module):
    """Decoder over 13 words."""

    def __init__(self):
        super().__init__()
        width = Choice("width", (8, 12, 16))
        kinds = [
            partial(ElasticRelativeBias, max_distance=2),
            partial(ElasticRelativeEmbedding, max_distance=3),
        ]
        self.embed, self.memory = ElasticEmbedding(13, width), nn.Embedding(13, 12)
        self.scale = nn.Parameter(torch.ones(()))
        self.layers = ElasticSequential(
            *(Layer(f"layer{k + 1}", width, kinds[k % 2], k % 2 == 1) for k in range(3)),
            depth=Choice("layers", (1, 2, 3)),
        )
        self.norm, self.out = ElasticLayerNorm(width), ElasticLinear(width, 13, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, tokens):
        x, _ = self.layers((self.embed(tokens) * self.scale, self.memory(tokens)))
        return self.out(self.norm(x))


class TestImagesSpace(SpaceContract):
    @pytest.fixture
    def space(self):
        return Images()


class TestImages(SuperNetworkContract):
    @pytest.fixture
    def space(self):
        return Images()


class TestWordsSpace(SpaceContract):
    @pytest.fixture
    def space(self):
        return Words()


class TestWords(SuperNetworkContract):
    @pytest.fixture
    def space(self):
        return Words()


SPACES = [Images(), Words()]


@pytest.fixture(params=SPACES, ids=lambda space: type(space).__name__)
def space(request):
    return request.param


@pytest.fixture
def network(space):
    return SuperNetworkContract().make(space)


def archs(space, n, seed=0):
    return space.valid(space.sample(n, np.random.default_rng(seed)))


def test_variables_take_part_where_their_layers_run():
    found = {v.name: v for v in Images().variables}
    assert found["block1.kernel"] == Variable("block1.kernel", (3, 5), ({"depth": (1, 2)},))
    assert found["block2.expand"].when == ({"depth": (2,)},)
    assert found["one"].when == found["one.kernel"].when == ({"branches": (True,)},)
    assert found["width"].when == found["depth"].when == ()
    assert Images().size == 3 * (1 + 4 + 16) * (1 + 2 * 2 * 2) * 2
    words = {v.name: v for v in Words().variables}
    assert words["layer1.heads"].when == () and words["layer3.ffn"].when == ({"layers": (3,)},)


def test_costs_equal_counting_for_many_and_are_vectorised(space):
    drawn = archs(space, 25)
    found = space.costs(drawn)
    for i, arch in enumerate(drawn):
        network = space.build(arch)
        assert found["params"][i] == parameters(network)
        assert found["macs"][i] == multiply_adds(network, space.example_inputs(1))
        assert space.costs([arch])["macs"][0] == found["macs"][i]


def test_building_draws_by_fan_in_and_the_space_may_initialise():
    space = Words()
    with seeded(0):
        built = space.build(space.largest)
        assert abs(float(built.embed.weight.detach().std()) - 0.1) < 0.02
        assert built.out.weight is built.embed.weight
    images = Images()
    for arch in (images.smallest, images.largest):
        with seeded(0):
            head = images.build(arch)[-1]
        bound = head.in_features**-0.5
        assert 0.8 * bound < float(head.weight.detach().abs().max()) <= bound


def test_looking_at_a_space_draws_no_random_numbers(space):
    fresh = type(space)()
    with seeded(0):
        assert len(fresh.variables) and fresh.costs([fresh.largest])
        drawn = torch.rand(1)
    with seeded(0):
        assert torch.equal(torch.rand(1), drawn)


def test_every_layer_of_the_largest_has_full_size(space, network):
    assert all(layer.cuts is None for layer in network.modules() if isinstance(layer, Elastic))
    network.activate(space.smallest)
    assert any(layer.cuts is not None for layer in network.modules() if isinstance(layer, Elastic))


def test_sorting_puts_important_channels_first_in_all_layers_of_an_axis(space, network):
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    network.sort_channels()
    if isinstance(space, Words):
        for layer in network.model.layers.children():
            gated = hasattr(layer.mlp, "down")
            reader = (layer.mlp.down if gated else layer.mlp.fc2).weight.detach()
            assert (reader.abs().sum(0).diff() <= 1e-5).all()
            norms = layer.attention.out_proj.weight.detach().abs().view(16, 4, 4).sum((0, 2))
            assert (norms.diff() <= 1e-5).all(), "whole heads"
    else:
        block = network.model[1][0]
        assert not torch.equal(block.project.weight, before["model.1.0.project.weight"])
        mixed = network.model[2].body.mixed.weight.detach().abs().sum((0, 2, 3))
        assert (mixed[:8].diff() <= 1e-5).all() and (mixed[8:].diff() <= 1e-5).all()
        assert torch.equal(network.model[4].bias, before["model.4.bias"]), "groups keep their order"


def test_sorting_keeps_the_channels_of_trained_widths():
    space = Words()
    network = SuperNetworkContract().make(space)
    (x,) = space.example_inputs(2)
    second = {"width": 12, "layers": 3}
    second |= {
        f"layer{k}.{n}": v for k in (1, 2, 3) for n, v in (("heads", 2), ("ffn", 8), ("cross", 4))
    }
    network.activate(space.arch(second))
    with torch.no_grad():
        before = network(x)
        network.sort_channels(trained=1)
        torch.testing.assert_close(network(x), before)
        network.sort_channels()
        assert (network(x) - before).abs().max() > 1e-3


class Shuffled(Images):
    """Mixes channels by their place, between two layers."""

    def model(self):
        width = Choice("width", (4, 8))
        return nn.Sequential(
            ElasticConv2d(2, width), nn.Softmax(1), Halve(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            ElasticLinear(width, 5),
        )  # fmt: skip


class Halve(nn.Module):
    """Each channel times its place."""

    def forward(self, x):
        return x * torch.arange(1, x.shape[1] + 1)[None, :, None, None]


def test_sorting_what_depends_on_the_order_is_refused_and_undone():
    space = Shuffled()
    network = SuperNetworkContract().make(space)
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(NasplugError, match="must leave the outputs of the largest network"):
        network.sort_channels()
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


class Outside(Images):
    """Does arithmetic outside of layers."""

    def model(self):
        return nn.Sequential(super().model(), Product())


class Product(nn.Module):
    """A matrix product."""

    def forward(self, x):
        return x @ torch.ones(x.shape[1], 3)


def test_costs_that_do_not_follow_from_layers_are_refused():
    space = Outside()
    with pytest.raises(
        NasplugError, match=r"only where layers do all the arithmetic.*override `costs`"
    ):
        space.costs([space.largest])


class Two(Images):
    """One name, two lists of options."""

    def model(self):
        return nn.Sequential(
            ElasticConv2d(2, Choice("a", (1, 2))), ElasticConv2d(Choice("a", (1, 3)), 4)
        )


class Rigid(Images):
    """Nothing elastic."""

    def model(self):
        return nn.Sequential(ElasticConv2d(2, 3))


class Deep(Images):
    """A depth of two variables."""

    def model(self):
        a, b = Choice("a", (1, 2)), Choice("b", (0, 1))
        layers = [ElasticConv2d(2, 2, Choice(f"kernel{k}", (1, 3))) for k in range(3)]
        return ElasticSequential(*layers, depth=a + b)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Two, r"'a' has \[1, 2\] and \[1, 3\]"),
        (Rigid, "must have a Choice"),
        (Deep, "a depth must follow from one variable, but got a, b"),
    ],
)
def test_models_that_are_no_space(kind, words):
    with pytest.raises(NasplugError, match=words):
        kind().variables  # noqa: B018


@pytest.mark.parametrize("options", [(), (1, 1)])
def test_options_are_distinct_and_some(options):
    with pytest.raises(NasplugError, match="options of width must be distinct"):
        Choice("width", options)


class Nested(Images):
    """A sequence within a sequence, the inner variable used before its condition in the model."""

    def model(self):
        inner = [ElasticConv2d(2, 2, Choice(f"kernel{k}", (1, 3))) for k in range(2)]
        deep = ElasticSequential(*inner, depth=Choice("inner", (1, 2)))
        return ElasticSequential(nn.ReLU(), deep, depth=Choice("outer", (1, 2)))


def test_conditions_of_nested_sequences_hold_together():
    found = {v.name: v.when for v in Nested().variables}
    assert found == {
        "outer": (),
        "inner": ({"outer": (2,)},),
        "kernel0": ({"outer": (2,)},),
        "kernel1": ({"outer": (2,), "inner": (2,)},),
    }
    assert Nested().size == 1 + 2 + 4


def test_gradients_of_a_step_are_the_extracted_networks(space, network):
    inputs = space.example_inputs(3)
    for arch in archs(space, 4, seed=3):
        network.activate(arch)
        network.zero_grad(set_to_none=True)
        plain = network.extract(arch)
        for net in (network, plain):
            net(*inputs).square().sum().backward()
        mine = sorted(float(p.grad.abs().sum()) for p in network.parameters() if p.grad is not None)
        theirs = sorted(float(p.grad.abs().sum()) for p in plain.parameters() if p.grad is not None)
        mine, theirs = [[g for g in gs if g > 1e-6] for gs in (mine, theirs)]
        assert np.allclose(sum(mine), sum(theirs), rtol=1e-3)
        reached = sum(int((p.grad != 0).sum()) for p in network.parameters() if p.grad is not None)
        assert reached <= parameters(plain) + 25 * 48 * 2, "no more than is active"


def test_the_active_network_compiles_whatever_is_active(space, network):
    inputs = space.example_inputs(2)
    torch._dynamo.reset()
    compiled = torch.compile(network, backend="aot_eager")
    with torch.no_grad():
        for arch in [*archs(space, 4), space.largest, space.smallest]:
            network.activate(arch)
            torch.testing.assert_close(compiled(*inputs), network(*inputs))


def test_active_and_extracted_networks_are_exported_by_torch(space, network):
    inputs = space.example_inputs(2)
    with torch.no_grad():
        for arch in [*archs(space, 2), space.smallest]:
            network.activate(arch)
            expected = network(*inputs)
            for net in (network, network.extract(arch)):
                exported = torch.export.export(net, inputs).module()
                torch.testing.assert_close(exported(*inputs), expected)


def test_extracted_networks_run_in_onnx_with_any_batch(space, network, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    import logging
    import warnings

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    (x,) = space.example_inputs(2)
    (more,) = space.example_inputs(5)
    for arch in (archs(space, 1)[0], space.largest):
        plain = network.extract(arch)
        path = tmp_path / "network.onnx"
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shapes = ({0: torch.export.Dim("batch")},)
            torch.onnx.export(plain, (x,), path, dynamo=True, dynamic_shapes=shapes, verbose=False)
            expected = plain(more).numpy()
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {session.get_inputs()[0].name: more.numpy()})
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_copies_and_pickles(space, network):
    inputs = space.example_inputs(2)
    network.activate(space.smallest)
    with torch.no_grad():
        others = [copy.deepcopy(network)]
        if isinstance(space, Images):
            others.append(pickle.loads(pickle.dumps(network)))
        for other in others:
            assert torch.equal(other(*inputs), network(*inputs))
            other.activate(space.largest)
            assert network.arch == space.smallest
            other.sort_channels()


def test_thousands_of_architectures_in_a_moment(space):
    import time

    genes = space.canonical(
        np.random.default_rng(0).integers(
            0, [len(v.options) for v in space.variables], (10_000, len(space.variables))
        )
    )
    space.costs(genes[:1])
    start = time.process_time()
    space.costs(genes)
    assert time.process_time() - start < 1
