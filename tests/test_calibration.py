"""Batch-norm statistics: against a computation by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nasplug.toolkit.networks.calibration import calibrate


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.5),
            nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4, eps=1e-3, momentum=None),
            nn.Flatten(), nn.Linear(4, 5), nn.BatchNorm1d(5, affine=False),
        )  # fmt: skip
        for norm in (net[1], net[5], net[8]):
            norm.running_mean.normal_()
            norm.running_var.uniform_(1, 5)
        nn.init.normal_(net[1].weight)
        nn.init.normal_(net[5].bias)
    return net


def batches() -> list[tuple[torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(n, 2, 6, 6, generator=generator) * n,) for n in (7, 4, 1)]


def test_statistics_are_sample_weighted_means_of_batch_statistics() -> None:
    net = network().train()
    calibrate(net, batches())

    expected: dict[int, list[torch.Tensor]] = {1: [], 5: [], 8: []}
    weights = torch.tensor([7, 4, 1], dtype=torch.float64) / 12
    exact = network().double().eval()
    with torch.no_grad():
        for (x,) in batches():
            x = x.double()
            for place, layer in enumerate(exact):
                if place not in expected:
                    x = layer(x)
                    continue
                axes = [axis for axis in range(x.ndim) if axis != 1]
                mean, var = x.mean(axes), x.var(axes, correction=0)
                expected[place].append(torch.stack([mean, var]))
                shape = [1, -1] + [1] * (x.ndim - 2)
                x = (x - mean.view(shape)) / (var.view(shape) + layer.eps).sqrt()
                if layer.affine:
                    x = x * layer.weight.view(shape) + layer.bias.view(shape)
    for place, parts in expected.items():
        mean, var = (torch.stack(parts) * weights.view(-1, 1, 1)).sum(0)
        torch.testing.assert_close(net[place].running_mean.double(), mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(net[place].running_var.double(), var, rtol=1e-4, atol=1e-5)


def test_nothing_else_changes() -> None:
    net = network().train()
    before = {k: v.clone() for k, v in net.state_dict().items() if "running" not in k}
    calibrate(net, batches())
    after = net.state_dict()
    assert all(torch.equal(v, after[k]) for k, v in before.items())
    assert not any("forward" in module.__dict__ for module in net.modules())
    assert not net.training and net[5].momentum is None


def test_the_old_statistics_have_no_influence() -> None:
    one, other = network(), network()
    other[1].running_mean.fill_(100)
    for net in (one, other):
        calibrate(net, batches())
    assert torch.equal(one(batches()[0][0]), other(batches()[0][0]))


def test_an_error_leaves_the_norms_as_they_were() -> None:
    net = network()
    with pytest.raises(RuntimeError):
        calibrate(net, [(torch.zeros(3, 9, 6, 6),)])
    assert not any("forward" in module.__dict__ for module in net.modules())


def test_without_batch_norm_no_batch_is_asked_for() -> None:
    calibrate(nn.Linear(2, 2), iter(lambda: pytest.fail("asked"), None))
    free = nn.BatchNorm1d(2, track_running_stats=False)
    calibrate(free, iter(lambda: pytest.fail("asked"), None))
