"""Proxies against what their authors' own code gives, on cells of NAS-Bench-201 whose weights and
inputs are sines. The code itself is not here; `docs/fidelity.md` says which it is."""

import math

import pytest
import torch
from nasplug_proxies.activation_based.nwot import Nwot
from nasplug_proxies.gradient_based.ntk import Ntk, NtkCalibrated
from nasplug_proxies.scoring.probe import PassProbe
from proxy_parts import score

import nasplug
from nasplug.contracts.probe import Examples

CELLS = {
    "complete": (3, 2, 3, 1, 2, 3),
    "pools": (3, 4, 1, 4, 2, 3),
    "node 2 leads nowhere": (3, 2, 3, 1, 2, 0),
    "node 1 leads nowhere": (2, 3, 0, 2, 0, 3),
    "node 1 has no source": (0, 3, 2, 3, 3, 1),
}
KNOWN = {
    "complete": (56.1225147363, 61.5620260146, 23.084026),
    "pools": (52.8603115326, 58.2987567103, 38.059875),
    "node 2 leads nowhere": (51.3310864083, 60.2699183511, 105.768707),
    "node 1 leads nowhere": (53.7278692455, 60.6318649515, 175.784119),
    "node 1 has no source": (50.6280483437, 56.7186639615, 46.390862),
}
"""What naswot's hooks give on our network, and on their own with the same weights; and the condition
number of TE-NAS in training mode, which is computed in single precision."""


def waves(*shape, speed):
    count = math.prod(shape)
    return torch.sin(speed * torch.arange(1, count + 1, dtype=torch.float64)).float().view(shape)


IMAGES = waves(8, 3, 8, 8, speed=0.37)


def network(arch):
    """Of 4 channels and one cell a stage."""
    space = nasplug.make(
        *("space", "nasbench201"), isomorphic=False, channels=4, cells=1,
        num_classes=3, in_channels=3, image_size=8,
    )  # fmt: skip
    model = space.build(arch)
    with torch.no_grad():
        for k, parameter in enumerate(p for p in model.parameters() if p.ndim > 1):
            parameter.copy_(
                waves(*parameter.shape, speed=0.53 + 0.01 * k) / parameter[0].numel() ** 0.5
            )
    return model


@pytest.mark.parametrize("cell", CELLS)
def test_nwot_is_what_the_authors_hooks_give(cell):
    assert score(Nwot(), network(CELLS[cell]), (IMAGES, None)) == pytest.approx(KNOWN[cell][0])


@pytest.mark.parametrize("cell", CELLS)
def test_the_authors_own_networks_have_our_patterns_all_but_the_last_twice(cell):
    """They multiply by zero where ours has no operation, and count ReLUConvBN as a ReLU too."""
    patterns = PassProbe(network(CELLS[cell]), [Examples((IMAGES,))], None, ("patterns",)).patterns
    units = torch.cat([*patterns, *patterns[:-1]], 1).double()
    kernel = units @ units.T + (1 - units) @ (1 - units).T
    assert float(torch.slogdet(kernel).logabsdet) == pytest.approx(KNOWN[cell][1])


@pytest.mark.parametrize("cell", CELLS)
def test_ntk_is_what_the_authors_function_gives(cell):
    found = score(Ntk(samples=8), network(CELLS[cell]), (IMAGES, None))
    assert found == pytest.approx(-KNOWN[cell][2], rel=1e-3)


@pytest.mark.parametrize("cell", CELLS)
def test_calibrated_ntk_is_ntk_of_the_network_in_evaluation_mode(cell):
    """Its running statistics being those of the batch."""
    model = network(CELLS[cell])
    found = score(NtkCalibrated(samples=8), model, (IMAGES, None))
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # a mean over batches: of the one
        norm.reset_running_stats()
    model.train()
    inputs = []
    hooks = [n.register_forward_pre_hook(lambda n, x: inputs.append((n, x[0]))) for n in norms]
    with torch.no_grad():
        model(IMAGES)
    for hook in hooks:
        hook.remove()
    for norm, x in inputs:  # torch keeps the unbiased variance
        norm.running_var.copy_(x.var((0, 2, 3), correction=0).detach())
    model.eval()
    weights = [p for name, p in model.named_parameters() if "weight" in name]
    rows = []
    for one in model(IMAGES):
        parts = torch.autograd.grad(
            one.sum(), weights, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        rows.append(torch.cat([p.flatten() for p in parts]).double())
    values = torch.linalg.eigvalsh(torch.stack(rows) @ torch.stack(rows).T)
    assert found == pytest.approx(-float(values[-1] / values[0]), rel=1e-3)
