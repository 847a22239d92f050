"""Proxies of noise, and sets of networks, by their definitions: closed forms, and independent
computations."""

import math

import numpy as np
import pytest
import torch
from nasplug_proxies.activation_based.az_nas import (
    AzExpressivity,
    AzNas,
    AzProgressivity,
    AzTrainability,
)
from nasplug_proxies.activation_based.meco import Meco
from nasplug_proxies.activation_based.zen import Zen
from nasplug_proxies.aggregators import RankMean, Vote, majority
from proxy_parts import score
from torch import nn

# ---- gaussian inputs -----------------------------------------------------------------------------


def zen_of(width, inputs, seed, norm=False, scale=1.0, term=True):
    layers = [nn.Conv2d(inputs, width, 1, bias=False)]
    if norm:
        layers.append(nn.BatchNorm2d(width))
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 2))
    proxy = Zen(samples=16, batch_norm_term=term)
    if scale != 1:
        hook = model[0].register_forward_hook(lambda m, args, out: out * scale)
    got = score(proxy, model, shape=(inputs, 4, 4), seed=seed)
    if scale != 1:
        hook.remove()
    return got


def test_zen_of_one_convolution_in_closed_form():
    """E|N(0, s^2)| = s sqrt(2 / pi), and s = alpha sqrt(inputs) for weights N(0, 1)."""
    width, inputs = 32, 64
    got = np.mean([math.exp(zen_of(width, inputs, seed)) for seed in range(10)])
    assert got == pytest.approx(0.01 * width * 16 * math.sqrt(2 * inputs / math.pi), rel=0.02)


def test_zen_puts_back_what_batch_norm_takes_out():
    plain = zen_of(16, 8, seed=1, norm=True, scale=1.0)
    scaled = zen_of(16, 8, seed=1, norm=True, scale=10.0)
    assert scaled - plain == pytest.approx(math.log(10), abs=1e-4)
    without = [zen_of(16, 8, seed=1, norm=True, scale=s, term=False) for s in (1.0, 10.0)]
    assert without[0] == pytest.approx(without[1], abs=1e-4)


def test_zen_grows_with_depth_and_width():
    def network(width, depth):
        convolutions = [nn.Conv2d(width, width, 3, padding=1) for _ in range(depth)]
        head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 2))
        return nn.Sequential(nn.Conv2d(3, width, 3), *convolutions, *head)

    of = {key: score(Zen(), network(*key), shape=(3, 6, 6)) for key in ((4, 1), (4, 4), (8, 1))}
    assert of[4, 1] < of[4, 4]
    assert of[4, 1] < of[8, 1]


def test_zen_of_fifty_layers_is_finite():
    model = nn.Sequential(*[nn.Linear(64, 64, bias=False) for _ in range(50)], nn.Linear(64, 2))
    assert math.isfinite(score(Zen(), model, shape=(64,)))


def test_meco_by_numpy():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh())
    got = score(Meco(), model, shape=(3, 7, 7), seed=3)
    torch.manual_seed(3)
    x = torch.randn(2, 3, 7, 7)
    expected = 0.0
    with torch.no_grad():
        maps = [model[0](x), model(x), model(x)]  # the two layers, and the whole
    for features in maps:
        channels = features[0].flatten(1).double().numpy()
        expected += np.linalg.eigvals(np.corrcoef(channels)).real.min()
    assert got == pytest.approx(expected, rel=1e-6)


# ---- AZ-NAS --------------------------------------------------------------------------------------


class Block(nn.Module):
    """x + its matrix times x, at every position."""

    def __init__(self, channels, factor=None):
        super().__init__()
        self.inner = nn.Conv2d(channels, channels, 1, bias=False)
        self.factor = factor

    def forward(self, x):
        return self.inner(x) if self.factor is None else self.factor * x


def test_az_expressivity_by_numpy():
    torch.manual_seed(0)
    model = nn.Sequential(Block(3), Block(3))
    feed_seed = 4
    kept = []
    hooks = [m.register_forward_hook(lambda m, a, out: kept.append(out.detach())) for m in model]
    got = score(AzExpressivity(), model, shape=(3, 5, 5), seed=feed_seed)
    growth = score(AzProgressivity(), model, shape=(3, 5, 5), seed=feed_seed)
    for hook in hooks:
        hook.remove()
    entropies = []
    for features in kept[:2]:
        rows = features.movedim(1, -1).reshape(-1, 3).double().numpy()
        values = np.linalg.eigvalsh(np.cov(rows.T))
        shares = values / values.sum()
        entropies.append(-(shares * np.log(shares)).sum())
    assert got == pytest.approx(sum(entropies), rel=1e-5)
    assert growth == pytest.approx(entropies[1] - entropies[0], rel=1e-4)


@pytest.mark.parametrize("factor", [1.0, 0.5, 3.0])
def test_az_trainability_of_scaling_blocks(factor):
    """The gradient is scaled by s: 2 - s - 1/s, up to the chance correlation of random signs."""
    model = nn.Sequential(Block(2), Block(2, factor))
    got = score(AzTrainability(), model, shape=(2, 24, 24), samples=32)
    assert got == pytest.approx(2 - factor - 1 / factor, abs=0.05 * max(factor, 1 / factor))


def test_az_trainability_where_a_block_shrinks_its_map():
    class Stride(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool = nn.AvgPool2d(2)

        def forward(self, x):
            return self.pool(x)

    got = score(AzTrainability(), nn.Sequential(Block(2), Stride()), shape=(2, 24, 24), samples=32)
    s = 0.5  # each of four inputs gets a quarter: norm of (1/4, 1/4, 1/4, 1/4)
    assert got == pytest.approx(2 - s - 1 / s, abs=0.05)


def test_az_nas_adds_the_logarithms_of_ranks():
    table = np.array([[1.0, 5.0, 2.0, 10.0], [2.0, 4.0, 9.0, 30.0], [3.0, 6.0, 1.0, 20.0]])
    ranks = np.array([[1, 2, 2, 1], [2, 1, 3, 3], [3, 3, 1, 2]])
    assert AzNas().combine(table) == pytest.approx(np.log(ranks / 3).sum(1))


# ---- sets ---------- ------------------------------------------------------------------------------


def test_vote_is_the_pairwise_majority():
    table = np.array([[3.0, 1.0, 2.0], [2.0, 2.0, 1.0], [1.0, 3.0, 0.0]])
    beats = majority(table)
    assert beats.tolist() == [[False, True, True], [False, False, True], [False, False, False]]
    assert Vote().combine(table).tolist() == [2, 1, 0]
    rng = np.random.default_rng(0)
    table = rng.normal(size=(30, 3))
    for i, j in rng.integers(0, 30, (50, 2)):
        assert majority(table)[i, j] == ((table[i] > table[j]).sum() >= 2)


def test_rank_mean_ignores_scale():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(20, 2))
    scaled = np.stack([np.exp(table[:, 0]), table[:, 1] * 1000 + 5], 1)
    assert (RankMean().combine(table) == RankMean().combine(scaled)).all()
    assert RankMean().combine(np.array([[1.0], [3.0], [2.0]])) == pytest.approx([1 / 3, 1, 2 / 3])
