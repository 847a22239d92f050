"""The layers of once-for-all against the paper: kernels, statistics, squeeze-excite, slices."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from nasplug import seeded
from nasplug.elastic import (
    ElasticBatchNorm2d,
    ElasticConv2d,
    ElasticDepthwiseConv2d,
    ElasticLinear,
    ElasticSqueezeExcite,
    extract,
)


def shuffled(layer: nn.Module) -> nn.Module:
    with torch.no_grad(), seeded(0):
        for tensor in layer.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.1)
    return layer


def images(width: int, size: int = 9) -> torch.Tensor:
    with seeded(1):
        return torch.randn(3, width, size, size)


def kernel(layer: ElasticDepthwiseConv2d, width: int, size: int) -> torch.Tensor:
    """The transformed kernel, channel by channel, as the paper describes it."""
    state = layer.state_dict()
    found = []
    for channel in state["weight"][:width, 0]:
        for small in range(5, size - 1, -2):
            rows = (channel.shape[0] - small) // 2
            centre = channel[rows : rows + small, rows : rows + small].reshape(-1)
            matrix = state[f"{small + 2}to{small}_matrix"]
            channel = torch.stack([(row * centre).sum() for row in matrix]).view(small, small)
        found.append(channel)
    return torch.stack(found)[:, None]


@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("pixels", [1, 2, 3, 4, 9])
def test_depthwise_kernels_are_transformed_centres(size, stride, pixels):
    layer = shuffled(ElasticDepthwiseConv2d(16, 7, stride)).double()
    layer.activate(8, size)
    x = images(8, pixels).double()
    expected = functional.conv2d(x, kernel(layer, 8, size), None, stride, size // 2, groups=8)
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(extract(layer)(x), expected)


def test_the_matrices_start_as_identity_and_matter():
    layer = ElasticDepthwiseConv2d(8, 7)
    x = images(8)
    centre = layer.weight[:, :, 1:-1, 1:-1]
    layer.activate(8, 5)
    before = layer(x)
    torch.testing.assert_close(before, functional.conv2d(x, centre, None, 1, 2, groups=8))
    with torch.no_grad():
        layer.get_parameter("7to5_matrix").mul_(2)
    torch.testing.assert_close(layer(x), 2 * before)
    layer.activate(8, 3)
    small = layer(x)
    with torch.no_grad():
        layer.get_parameter("7to5_matrix").mul_(2)
        layer.get_parameter("5to3_matrix").mul_(3)
    torch.testing.assert_close(layer(x), 6 * small)
    layer.activate(8, 7)
    expected = functional.conv2d(x, layer.weight, None, 1, 3, groups=8)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_updates_the_active_statistics_alone(momentum):
    layer = shuffled(ElasticBatchNorm2d(16, eps=1e-3))
    layer.momentum = momentum
    layer.reset_running_stats()
    layer.activate(8)
    plain = extract(layer)
    assert plain.training and plain.eps == 1e-3 and plain.momentum == momentum
    for x in (images(8), images(8) * 2 + 1):
        torch.testing.assert_close(layer(x), plain(x))
    state, expected = layer.state_dict(), plain.state_dict()
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(state[name][:8], expected[name])
    assert (state["running_mean"][8:] == 0).all() and (state["running_var"][8:] == 1).all()
    assert state["num_batches_tracked"] == expected["num_batches_tracked"] == 2
    layer.eval()
    torch.testing.assert_close(layer(images(8)), plain.eval()(images(8)))


def test_squeeze_excite_uses_a_quarter_of_the_active_width():
    layer = shuffled(ElasticSqueezeExcite(64))
    layer.activate(32)
    plain = extract(layer)
    assert plain.fc.reduce.weight.shape == (8, 32, 1, 1)
    x = images(32)
    torch.testing.assert_close(layer(x), plain(x))
    state = layer.state_dict()
    means = x.mean((2, 3))
    inner = (
        means @ state["fc.reduce.weight"][:8, :32, 0, 0].T + state["fc.reduce.bias"][:8]
    ).relu()
    gate = inner @ state["fc.expand.weight"][:32, :8, 0, 0].T + state["fc.expand.bias"][:32]
    gate = functional.relu6(gate + 3) / 6
    torch.testing.assert_close(layer(x), x * gate[:, :, None, None])


def test_convolution_and_linear_take_leading_slices_of_both_axes():
    layer = shuffled(ElasticConv2d(16, 24, 3, 2, bias=False))
    layer.activate(8, 16)
    expected = functional.conv2d(images(8), layer.weight[:16, :8], None, 2, 1)
    torch.testing.assert_close(layer(images(8)), expected)
    torch.testing.assert_close(extract(layer)(images(8)), expected)
    head = shuffled(ElasticLinear(16, 5))
    head.activate(8)
    x = images(8)[:, :, 0, 0]
    expected = x @ head.weight[:, :8].T + head.bias
    torch.testing.assert_close(head(x), expected)
    torch.testing.assert_close(extract(head)(x), expected)
