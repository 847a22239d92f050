"""Proxies of gradients, Jacobians and activations by their definitions: closed forms, and independent
computations."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from nasplug_proxies.activation_based.linear_regions import LinearRegions
from nasplug_proxies.activation_based.nwot import Nwot
from nasplug_proxies.activation_based.swap import Swap, SwapRegularised
from nasplug_proxies.gradient_based.epe_nas import EpeNas
from nasplug_proxies.gradient_based.fisher import Fisher
from nasplug_proxies.gradient_based.grad_norm import GradNorm
from nasplug_proxies.gradient_based.grasp import Grasp
from nasplug_proxies.gradient_based.jacob_cov import JacobCov
from nasplug_proxies.gradient_based.ntk import Ntk
from nasplug_proxies.gradient_based.plain import Plain
from nasplug_proxies.gradient_based.snip import Snip
from nasplug_proxies.gradient_based.synflow import Synflow
from nasplug_proxies.gradient_based.zico import Zico
from nasplug_proxies.size_based.l2_norm import L2Norm
from nasplug_proxies.size_based.sizes import Flops, Params
from proxy_parts import score
from torch import nn
from torch.nn import functional

from nasplug import Failure


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def batch(rng):
    """Eight images and labels."""
    images = torch.randn(8, 3, 6, 6, generator=rng)
    return images, torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])


@pytest.fixture
def model():
    """Two convolutions, batch norm, in-place activations, a classifier."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 3, stride=2),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )


def backward(model, batch):
    """Weights of its convolutions and linear layers and their gradients, by plain training code."""
    model.zero_grad()
    functional.cross_entropy(model(batch[0].clone()), batch[1]).backward()
    weights = [m.weight for m in model if isinstance(m, (nn.Conv2d, nn.Linear))]
    return [(w.detach().clone(), w.grad.clone()) for w in weights]


# ---- gradients of the loss -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxy", "formula"),
    [
        (GradNorm(), lambda w, g: g.pow(2).sum().sqrt()),
        (Snip(), lambda w, g: (w * g).abs().sum()),
        (Plain(), lambda w, g: (w * g).sum()),
        (L2Norm(), lambda w, g: w.pow(2).sum().sqrt()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_sums_over_layers(proxy, formula, model, batch):
    got = score(proxy, model, batch)
    expected = sum(float(formula(w, g)) for w, g in backward(model, batch))
    assert got == pytest.approx(expected, rel=1e-5)


def test_plain_is_snip_without_absolute_values(model, batch):
    assert abs(score(Plain(), model, batch)) < score(Snip(), model, batch)


def test_grasp_by_finite_differences(batch):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(108, 5), nn.Softplus(), nn.Linear(5, 3)).double()
    images, labels = batch[0].double(), batch[1]
    weights = [model[1].weight, model[3].weight]

    def gradient():
        loss = functional.cross_entropy(model(images), labels)
        return torch.autograd.grad(loss, weights)

    step, first = 1e-5, gradient()
    moved = []
    for sign in (1, -1):
        with torch.no_grad():
            for weight, g in zip(weights, first, strict=True):
                weight.add_(g, alpha=sign * step)
        moved.append(gradient())
        with torch.no_grad():
            for weight, g in zip(weights, first, strict=True):
                weight.sub_(g, alpha=sign * step)
    product = [(up - down) / (2 * step) for up, down in zip(*moved, strict=True)]
    expected = -sum(float((hg * w.detach()).sum()) for hg, w in zip(product, weights, strict=True))
    assert score(Grasp(), model.float(), batch) == pytest.approx(expected, rel=1e-3)


def test_fisher_by_retained_gradients(model, batch):
    kept = []

    def keep(module, args, output):
        output.retain_grad()
        kept.append((module, output))

    for module in model:
        if isinstance(module, nn.ReLU):
            module.inplace = False
    hooks = [m.register_forward_hook(keep) for m in model if isinstance(m, (nn.Conv2d, nn.Linear))]
    functional.cross_entropy(model(batch[0]), batch[1]).backward()
    for hook in hooks:
        hook.remove()
    expected = 0.0
    for module, a in kept:
        fan_in = module.weight[0].numel()
        for channel in range(a.shape[1]):
            per_example = (a.detach() * a.grad)[:, channel].reshape(len(a), -1).sum(1)
            expected += fan_in * 0.5 * float((per_example**2).mean())
    for module in model:
        if isinstance(module, nn.ReLU):
            module.inplace = True
    assert score(Fisher(), model, batch) == pytest.approx(expected, rel=1e-5)
    assert all(m.inplace for m in model if isinstance(m, nn.ReLU))


def test_zico_by_numpy(model, batch, rng):
    other = (torch.randn(8, 3, 6, 6, generator=rng), batch[1])
    one, two = backward(model, batch), backward(model, other)
    expected = 0.0
    for (_, g), (_, h) in zip(one, two, strict=True):
        both = torch.stack([g, h]).double().numpy().reshape(2, -1)
        std = both.std(0)
        expected += math.log((np.abs(both).mean(0)[std > 0] / std[std > 0]).sum())
    assert score(Zico(), model, batch, other) == pytest.approx(expected, rel=1e-3)


def test_zico_skips_layers_whose_gradient_does_not_vary(model, batch):
    assert score(Zico(), model, batch, batch) == 0


# ---- synflow -------------------------------------------------------------------------------------


def chain(*widths, kind=nn.Linear):
    layers = []
    for i, o in pairwise(widths):
        layers += [kind(i, o, bias=False), nn.ReLU()]
    return nn.Sequential(*layers)


@pytest.mark.parametrize("widths", [(5, 4), (6, 5, 4, 3), (3, *[8] * 20, 2)])
def test_synflow_of_a_chain_is_layers_times_the_product_of_absolute_weights(widths):
    torch.manual_seed(1)
    model = chain(*widths)
    flow = torch.ones(widths[0], 1, dtype=torch.float64)
    layers = [m for m in model if isinstance(m, nn.Linear)]
    for layer in layers:
        flow = layer.weight.detach().double().abs() @ flow
    expected = len(layers) * float(flow.sum())
    assert score(Synflow(log=False), model, shape=(widths[0],)) == pytest.approx(
        expected, rel=1e-10
    )
    assert score(Synflow(), model, shape=(widths[0],)) == pytest.approx(math.log1p(expected))


def test_synflow_of_a_convolution_chain():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(2, 3, 1, bias=False), nn.ReLU(), nn.Conv2d(3, 2, 1, bias=False))
    first, last = (m.weight.detach().double().abs().flatten(1) for m in (model[0], model[2]))
    expected = 2 * 4 * 5 * float((last @ first).sum())
    assert score(Synflow(log=False), model, shape=(2, 4, 5)) == pytest.approx(expected, rel=1e-10)


def test_synflow_ignores_signs_and_normalisation_and_scales_with_a_layer(model, batch):
    before = score(Synflow(log=False), model, batch)
    with torch.no_grad():
        model[0].weight.neg_()
        model[1].weight.mul_(3)
        model[1].running_mean.fill_(7)
    assert score(Synflow(log=False), model, batch) == before
    with torch.no_grad():
        bias_free = chain(3, 4, 2)
        one = score(Synflow(log=False), bias_free, shape=(3,))
        bias_free[0].weight.mul_(5)
    assert score(Synflow(log=False), bias_free, shape=(3,)) == pytest.approx(5 * one, rel=1e-6)


# ---- Jacobians -----------------------------------------------------------------------------------


def jacobian(model, images):
    """One row an example, computed one example at a time (no batch norm)."""
    rows = []
    for image in images:
        x = image[None].clone().requires_grad_()
        model(x).sum().backward()
        rows.append(x.grad.flatten().double().numpy())
    return np.stack(rows)


@pytest.fixture
def plain_model():
    torch.manual_seed(2)
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 3))


def test_jacob_cov_by_numpy(plain_model, batch):
    values = np.linalg.eigvalsh(np.corrcoef(jacobian(plain_model, batch[0]))) + 1e-5
    expected = -np.sum(np.log(values) + 1 / values)
    assert score(JacobCov(), plain_model, batch) == pytest.approx(expected, rel=1e-3)


def test_jacob_cov_is_largest_where_examples_are_uncorrelated():
    """log v + 1 / v is least, 1, at v = 1."""
    k = 1e-5
    best = -8 * (math.log(1 + k) + 1 / (1 + k))
    assert best == pytest.approx(-8, abs=1e-6)
    values = np.random.default_rng(0).dirichlet(np.ones(8), 100) * 8
    assert (-(np.log(values + k) + 1 / (values + k)).sum(1) < best).all()


def test_epe_nas_by_numpy(plain_model, batch):
    rows, labels = jacobian(plain_model, batch[0]), batch[1].numpy()
    sums = [np.log(np.abs(np.corrcoef(rows[labels == c])) + 1e-5).sum() for c in range(3)]
    assert score(EpeNas(), plain_model, batch) == pytest.approx(np.abs(sums).sum(), rel=1e-3)


def test_epe_nas_compares_classes_where_there_are_many(batch):
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 101))
    rows, labels = jacobian(model, batch[0]), batch[1].numpy()
    a, b, c = (np.log(np.abs(np.corrcoef(rows[labels == k])) + 1e-5).sum() for k in range(3))
    expected = (abs(a - b) + abs(a - c) + abs(b - c)) / 3
    assert score(EpeNas(), model, batch) == pytest.approx(expected, rel=1e-3)


def test_ntk_of_a_linear_model_is_the_gram_matrix_of_its_inputs(rng):
    x = torch.randn(5, 9, generator=rng)
    model = nn.Linear(9, 1, bias=False)
    values = np.linalg.eigvalsh((x @ x.T).double().numpy())
    got = score(Ntk(), model, (x, None))
    assert got == pytest.approx(-values[-1] / values[0], rel=1e-5)
    shuffled = score(Ntk(), model, (x[[3, 1, 4, 0, 2]], None))
    assert shuffled == pytest.approx(got, rel=1e-6)


def test_ntk_of_orthonormal_inputs_is_one_and_of_repeated_ones_has_no_score():
    model = nn.Linear(6, 1, bias=False)
    assert score(Ntk(), model, (torch.eye(6)[:4], None)) == pytest.approx(-1)
    twice = score(Ntk(), model, (torch.eye(6)[[0, 1, 1]], None))
    assert isinstance(twice, Failure)
    assert "finite" in twice.error


# ---- activation patterns -------------------------------------------------------------------------


def codes(model, images):
    """Which units are on before each activation of a Sequential, as 0 and 1."""
    found, x = [], images
    for module in model:
        if isinstance(module, nn.ReLU):
            found.append((x > 0).flatten(1).int().numpy())
        x = module(x.clone())
    return np.concatenate(found, 1)


def test_nwot_counts_units_that_agree(model, batch):
    with torch.no_grad():
        units = codes(model, batch[0])
    kernel = [[int((a == b).sum()) for b in units] for a in units]
    expected = math.log(abs(np.linalg.det(np.array(kernel, float))))
    assert score(Nwot(), model, batch) == pytest.approx(expected, rel=1e-9)


def test_nwot_counts_an_activation_as_often_as_it_runs(batch):
    torch.manual_seed(0)

    class Twice(nn.Module):
        """Two activations that read the same tensor."""

        def __init__(self):
            super().__init__()
            self.first, self.one, self.two = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.ReLU()

        def forward(self, x):
            x = self.first(x)
            return (self.one(x) + self.two(x)).flatten(1)

    model = Twice()
    with torch.no_grad():
        units = (model.first(batch[0]) > 0).flatten(1).numpy()
    units = np.concatenate([units, units], 1)
    kernel = np.array([[(a == b).sum() for b in units] for a in units], float)
    assert score(Nwot(), model, batch) == pytest.approx(np.linalg.slogdet(kernel)[1])


def test_swap_counts_distinct_units(batch):
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    got = score(Swap(), model, batch, seed=5)
    torch.manual_seed(5)  # the weights that N(0, 1) gives for this seed
    weight = torch.randn(4, 3, 3, 3)
    units = (functional.conv2d(batch[0], weight) > 0).flatten(1).int().numpy()
    assert got == len({tuple(column) for column in units.T})
    size = sum(p.numel() for p in model.parameters()) / 1000
    regularised = score(SwapRegularised(mu=2.0, sigma=9.0), model, batch, seed=5)
    assert regularised == pytest.approx(math.log(got) - (size - 2) ** 2 / 9)


def test_linear_regions_along_a_line_by_where_units_switch():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 30), nn.ReLU(), nn.Linear(30, 2))
    torch.manual_seed(7)
    a, b = torch.randn(2, 4).double()
    weight, bias = model[0].weight.detach().double(), model[0].bias.detach().double()
    at = (weight @ a + bias) / (weight @ (a - b))  # where along the line each unit switches
    inside = int(((at > 0) & (at < 1)).sum())
    assert 1 < inside < 30
    assert score(LinearRegions(points=2000), model, shape=(4,), seed=7) == 1 + inside


# ---- sizes ---------------------------------------------------------------------------------------


def test_sizes(model):
    expected = 27 * 4 + 8 + 36 * 6 + 6 + 18 + 3
    assert score(Params(), model, shape=(3, 6, 6)) == expected
    macs = 36 * 27 * 4 + 4 * 36 * 6 + 18
    assert score(Flops(), model, shape=(3, 6, 6)) == macs
