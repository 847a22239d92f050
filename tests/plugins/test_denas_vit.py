"""The space `denas_vit`, its networks and super-network."""

import random

import numpy as np
import pytest
import torch
from nasplug_denas.vit.layers import DropPath, PatchDistances
from nasplug_denas.vit.space import DenasVit
from torch.nn import functional

from nasplug import NasplugError, make, seeded
from nasplug.testing import SpaceContract, SuperNetworkContract

LOGGED = (
    *(13, 3.5, 4, 3.5, 3, 3, 3.5, 3, 3, 3.5, 3, 4, 3, 3.5),
    *(6, 9, 6, 3, 6, 10, 5, 9, 5, 3, 5, 3, 3, 448),
)
"""The best network of DE-NAS's notebook."""


def small(**changes):
    sizes = dict(
        num_classes=5,
        image_size=6,
        in_channels=1,
        patch_size=2,
        depth=(3, 1),
        embedding=(12, 16, 8),
        heads=(2, 1, 3),
        mlp_ratio=(1.5, 2.0),
        head_dim=4,
        max_distance=1,
    )
    return DenasVit(**{**sizes, **changes})


def tiny(**changes):
    """All of whose architectures can be listed."""
    return small(depth=(2, 1), embedding=(8, 12), heads=(2, 1), **changes)


class TestTiny(SpaceContract):
    @pytest.fixture
    def space(self):
        return tiny()


class TestWithoutDistances(SpaceContract):
    @pytest.fixture
    def space(self):
        return tiny(relative_positions=False, drop_path=0.1)


class TestDefault(SpaceContract):
    @pytest.fixture
    def space(self):
        return make("space", "denas_vit", image_size=8, in_channels=1)


class TestElastic(SuperNetworkContract):
    @pytest.fixture
    def space(self):
        return small()


# ---- known answers -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published():
    return make("space", "denas_vit_published")


def test_the_published_space(published):
    assert published.size == 9 * sum(21**d for d in range(12, 17)) == 13518870812664381228645
    extremes = published.costs([published.smallest, published.largest])
    assert extremes["params"].tolist() == [4_731_466, 76_263_514]


def test_the_network_of_the_published_notebook(published):
    arch = published.from_denas(LOGGED)
    assert published.costs([arch])["params"] == [26_440_362]
    network = published.build(arch)
    assert sum(p.numel() for p in network.parameters()) == 26_440_362


def test_the_published_sampler_draws_the_published_candidates(published):
    """The three of the original's unit tests."""
    rng = random.Random(0)
    drawn = [published.sample_denas(rng) for _ in range(3)]
    notations = [published.to_denas(arch) for arch in drawn]
    assert [(n[0], n[-1]) for n in notations] == [(15, 448), (15, 448), (13, 320)]
    assert notations[1][1:3] == (4.0, 3.0)
    assert published.costs(drawn)["params"].tolist() == [33_208_394, 35_390_666, 15_950_218]


def test_candidates_of_denas_and_back(published):
    assert published.to_denas(published.from_denas(LOGGED)) == LOGGED
    for arch in map(tuple, published.sample(50, np.random.default_rng(0)).tolist()):
        candidate = published.to_denas(arch)
        assert published.from_denas(candidate) == published.from_denas(f"{candidate}\n") == arch


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.from_denas(()), "must be \\(depth, MLP ratio"),
        (lambda s: s.from_denas("(3, 1.5"), "must be \\(depth, MLP ratio"),
        (lambda s: s.from_denas("SuperConvK3BNRELU(3,8,1,1)"), "must be \\(depth, MLP ratio"),
        (lambda s: s.from_denas((1, 1.5, 2, 2, 12)), "must be \\(depth, MLP ratio"),
        (lambda s: s.from_denas((2, 1.5, 2.0, 2, 1, 12)), "depth must be one of"),
        (lambda s: s.from_denas((1, 1.5, 2, 13)), "embedding must be one of"),
        (lambda s: s.from_denas((1, 1.0, 2, 12)), "layer1.mlp_ratio must be one of"),
        (lambda s: small(patch_size=4), "take space.patch_size=3"),
        (lambda s: small(depth=(2, 2)), "depth must be distinct"),
        (lambda s: small(heads=()), "heads must be distinct"),
        (lambda s: small(embedding=(8, 12), mlp_ratio=(1.0, 1.01)), "are \\[8, 8\\]"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(call, message):
    with pytest.raises(NasplugError, match=message) as error:
        call(small())
    assert "\n" not in str(error.value)


def test_dimensions_follow_the_task():
    task = make("task", "digits", image_size=16)
    space = make("space", "denas_vit", **task.network_dimensions)
    assert (space.image_size, space.in_channels, space.patch_size) == (16, 1, 4)
    assert space.build(space.smallest)(*space.example_inputs(2)).shape == (2, 10)


# ---- networks ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    """A super-network with weights that say something."""
    with seeded(3):
        network = small().supernet()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.2 * torch.randn_like(parameter)
    return network.eval()


def autoformer(state, images, space, candidate):
    """AutoFormer's forward on the super-network's weights, written anew from its published source:
    queries, keys and values are every third row of one matrix, of which the first rows are used."""
    depth, width, d = candidate[0], candidate[-1], space.head_dim
    ratios, heads = candidate[1 : depth + 1], candidate[depth + 1 : -1]
    norm = functional.layer_norm
    side = space.image_size // space.patch_size
    x = functional.conv2d(
        images, state["patch.weight"][:width], state["patch.bias"][:width], stride=space.patch_size
    )
    x = x.flatten(2).transpose(1, 2)
    first = state["tokens.class_token"][..., :width].expand(len(x), -1, -1)
    x = torch.cat([first, x], 1) + state["tokens.position_table"][..., :width]
    n, t, _ = x.shape
    for k in range(depth):
        own = {
            name.split(".", 2)[2]: v for name, v in state.items() if name.startswith(f"layers.{k}.")
        }
        inner, h = heads[k] * d, heads[k]
        rows = own["attention.in_proj.weight"]
        interleaved = rows.reshape(3, -1, rows.shape[1]).transpose(0, 1).reshape(rows.shape)
        used = interleaved[: 3 * inner, :width]
        bias = own["attention.in_proj.bias"].reshape(3, -1).T.flatten()[: 3 * inner]
        y = norm(x, (width,), own["norm1.weight"][:width], own["norm1.bias"][:width])
        q, key, v = (
            (y @ used[i::3].T + bias[i::3]).view(n, t, h, d).transpose(1, 2) for i in range(3)
        )
        scores = torch.einsum("nhqd,nhkd->nhqk", q, key)
        near, value = torch.zeros(t, t, d), torch.zeros(t, t, d)
        for one in range(t):
            for other in range(t):
                vertical = horizontal = 0
                if one and other:
                    (r1, c1), (r2, c2) = divmod(one - 1, side), divmod(other - 1, side)
                    most = space.max_distance
                    vertical = max(-most, min(most, r2 - r1)) + most + 1
                    horizontal = max(-most, min(most, c2 - c1)) + most + 1
                tables = {n.split(".")[-1]: v for n, v in own.items() if ".relative." in n}
                near[one, other] = (
                    tables["key_vertical"][vertical] + tables["key_horizontal"][horizontal]
                )
                value[one, other] = (
                    tables["value_vertical"][vertical] + tables["value_horizontal"][horizontal]
                )
        scores = (scores + torch.einsum("nhqd,qkd->nhqk", q, near)) * d**-0.5
        weights = scores.softmax(-1)
        mixed = weights @ v + torch.einsum("nhqk,qkd->nhqd", weights, value)
        mixed = mixed.transpose(1, 2).flatten(2)
        x = x + functional.linear(
            mixed,
            own["attention.out_proj.weight"][:width, :inner],
            own["attention.out_proj.bias"][:width],
        )
        y = norm(x, (width,), own["norm2.weight"][:width], own["norm2.bias"][:width])
        f = int(width * ratios[k])
        y = functional.gelu(y @ own["mlp.fc1.weight"][:f, :width].T + own["mlp.fc1.bias"][:f])
        x = x + y @ own["mlp.fc2.weight"][:width, :f].T + own["mlp.fc2.bias"][:width]
    x = norm(x, (width,), state["norm.weight"][:width], state["norm.bias"][:width])
    return x[:, 1:].mean(1) @ state["head.weight"][:, :width].T + state["head.bias"]


@torch.no_grad()
def test_a_sub_network_computes_what_autoformers_does(trained):
    space = small()
    (images,) = space.example_inputs(3)
    archs = [space.largest, space.smallest, *map(tuple, space.sample(6, np.random.default_rng(2)))]
    for arch in archs:
        arch = tuple(int(gene) for gene in arch)
        trained.activate(arch)
        expected = autoformer(trained.model.state_dict(), images, space, space.to_denas(arch))
        torch.testing.assert_close(trained(images), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_distances_between_patches():
    """Of a 3 x 3 image whose distances are limited to 1; what is far is what is next to it."""
    distances = PatchDistances(2, 1)
    for name, table in distances.named_parameters():
        table.copy_(torch.arange(8.0).view(4, 2) * (10 if "vertical" in name else 1))
    found = distances._vectors(distances.key_vertical, distances.key_horizontal, 10)[..., 0] / 2
    assert found[0].tolist() == found[:, 0].tolist() == [0] * 10  # the class token
    same, right, below, far = found[1, 1], found[1, 2], found[1, 4], found[1, 9]
    assert (same, right, below, far) == (22, 23, 32, 33)
    assert found[9, 1] == 11 and found[2, 4] == 31


def test_drop_path_keeps_the_mean_and_is_off_in_evaluation():
    layer, x = DropPath(0.25), torch.ones(4000, 2, 3)
    with seeded(0):
        dropped = layer.train()(x)
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert (dropped[:, 0, 0] == 0).float().mean() == pytest.approx(0.25, abs=0.02)
    assert (dropped == dropped[:, :1, :1]).all()
    assert layer.eval()(x) is x
    rates = [layer.drop_path.rate for layer in small(drop_path=0.1).supernet().model.layers]
    assert rates == pytest.approx([0, 0.05, 0.1])


def test_fresh_weights_are_drawn_as_published():
    space = small(embedding=(64,), heads=(4,), head_dim=16, initializer_range=0.02)
    with seeded(0):
        network = space.build(space.largest)
    layer = network.layers[0]
    for weight in (layer.attention.in_proj.weight, layer.mlp.fc1.weight):
        assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    for table in (network.tokens.position_table, layer.attention.relative.key_vertical):
        assert table.std().item() == pytest.approx(0.02, rel=0.2)
    assert layer.attention.in_proj.bias.abs().max() == 0
