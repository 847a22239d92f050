"""Layers that run on leading slices of their weights.

Each holds a plain torch layer of full size, remembers as Python ints how much of it is active, and
gives that part as a stand-alone plain layer (Cai et al., Once-for-All, ICLR 2020, section 3).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasplug_ofa.copies import around, duplicate
from nasplug_ofa.layers import SqueezeExcite, depthwise2d, make_divisible, squeeze_excite

Cut = tuple[slice, ...] | None
"""The leading slices of a tensor that are active; None where all of it is, which saves a graph node."""


class Elastic(nn.Module, ABC):
    """A layer of adjustable width: its own `activate(..)` sets the part that forward uses.

    Call `activate` before forward; weights and statistics stay where they are.
    """

    @abstractmethod
    def extract(self) -> nn.Module:
        """The active part as a plain layer with weights of its own."""


def extract(module: nn.Module) -> nn.Module:
    """A stand-alone copy of `module` in which every elastic layer is its active part."""
    if isinstance(module, Elastic):
        return module.extract()
    new = duplicate(module)
    for name, child in module.named_children():
        new.add_module(name, extract(child))
    return new


class ElasticConv2d(Elastic):
    """A convolution without bias whose input and output widths are elastic, same padding."""

    def __init__(self, width_in: int, width_out: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width_out, kernel, stride, kernel // 2, bias=False)
        self.cut: Cut = None

    def activate(self, width_in: int, width_out: int) -> None:
        """Use the leading input and output channels."""
        self.cut = _cut((width_out, width_in), (self.conv.out_channels, self.conv.in_channels))

    def _weight(self) -> Tensor:
        return _part(self.conv.weight, self.cut)

    def forward(self, x: Tensor) -> Tensor:
        """(n, active in, h, w) -> (n, active out, ceil(h / stride), ceil(w / stride))."""
        return functional.conv2d(x, self._weight(), None, self.conv.stride, self.conv.padding)

    def extract(self) -> nn.Module:
        """A convolution of the active widths."""
        weight = self._weight()
        width_out, width_in, *_ = weight.shape
        return around(self.conv, {"weight": weight}, in_channels=width_in, out_channels=width_out)


class ElasticDepthwise2d(Elastic):
    """A depth-wise convolution of elastic width and kernel size, same padding.

    One weight of the largest size is stored. The next smaller kernel is its centre, flattened and
    multiplied with a learned matrix that all channels share; the one after that is made from the
    transformed one in the same way, down to 3 (Once-for-All, section 3.3). The matrices start as
    the identity.
    """

    def __init__(self, width: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, kernel, stride, kernel // 2, groups=width, bias=False)
        for small in range(3, kernel, 2):
            matrix = nn.Parameter(torch.eye(small**2))
            self.register_parameter(f"{small + 2}to{small}_matrix", matrix)
        self.kernel = kernel
        self.width = width
        self.cut: Cut = None

    def activate(self, width: int, kernel: int) -> None:
        """Use the leading channels, with the kernel of that size."""
        self.cut = _cut((width,), (self.conv.in_channels,))
        self.width, self.kernel = width, kernel

    def _weight(self) -> Tensor:
        weight = _part(self.conv.weight, self.cut)
        for small in range(self.conv.kernel_size[0] - 2, self.kernel - 1, -2):
            centre = weight[:, :, 1:-1, 1:-1].reshape(self.width, small**2)
            matrix = self.get_parameter(f"{small + 2}to{small}_matrix")
            weight = functional.linear(centre, matrix).view(self.width, 1, small, small)
        return weight

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) -> (n, width, ceil(h / stride), ceil(w / stride))."""
        weight, reach = self._weight(), self.kernel // 2
        if not torch.jit.is_tracing():
            # Taps that see nothing but padding are left out: on the last stages of a small image
            # most of a 7x7 kernel, and most of the backward pass.
            idle = max(0, reach + 1 - max(x.shape[2:]))
            if idle:
                weight = weight[:, :, idle:-idle, idle:-idle]
                reach -= idle
        return functional.conv2d(x, weight, None, self.conv.stride, reach, groups=self.width)

    def extract(self) -> nn.Module:
        """A depth-wise convolution with the transformed kernel; the matrices stay behind."""
        with torch.device("meta"):
            plain = depthwise2d(self.width, self.kernel, self.conv.stride[0])
        return around(plain, {"weight": self._weight()})


class ElasticBatchNorm2d(Elastic):
    """Batch norm over the leading channels; training updates their running statistics alone."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(width, eps)
        self.cut: Cut = None

    def activate(self, width: int) -> None:
        """Use the leading channels."""
        self.cut = _cut((width,), (self.bn.num_features,))

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w), unchanged in shape."""
        bn, cut = self.bn, self.cut
        if cut is None:
            return bn(x)
        momentum = bn.momentum
        if bn.training:
            bn.num_batches_tracked.add_(1)
            if momentum is None:  # a cumulative average, as in torch
                momentum = 1 / int(bn.num_batches_tracked)
        mean, var = bn.running_mean[cut], bn.running_var[cut]
        weight, bias = bn.weight[cut], bn.bias[cut]
        return functional.batch_norm(
            x, mean, var, weight, bias, bn.training, momentum or 0.0, bn.eps
        )

    def extract(self) -> nn.Module:
        """A batch norm of the active width, statistics included."""
        names = ("weight", "bias", "running_mean", "running_var")
        tensors = {name: _part(getattr(self.bn, name), self.cut) for name in names}
        tensors["num_batches_tracked"] = self.bn.num_batches_tracked
        return around(self.bn, tensors, num_features=len(tensors["weight"]))


class ElasticSqueezeExcite(Elastic):
    """Squeeze-and-excite whose inner width follows the active one: a quarter, divisible by 8."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = squeeze_excite(width).fc
        self.cut: Cut = None
        self.inner: Cut = None

    def activate(self, width: int) -> None:
        """Use the leading channels, outside and inside."""
        reduce = self.fc.reduce
        inner = make_divisible(width // 4)
        self.cut = _cut((width, inner), (reduce.in_channels, reduce.out_channels))
        self.inner = self.cut and self.cut[1:]

    def _parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        reduce, expand, cut = self.fc.reduce, self.fc.expand, self.cut
        return (
            _part(reduce.weight, cut and cut[::-1]),
            _part(reduce.bias, cut and cut[1:]),
            _part(expand.weight, cut),
            _part(expand.bias, cut and cut[:1]),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w), each channel scaled by a factor from 0 to 1."""
        reduce, reduce_bias, expand, expand_bias = self._parts()
        inner = functional.conv2d(x.mean((2, 3), keepdim=True), reduce, reduce_bias).relu()
        return x * functional.hardsigmoid(functional.conv2d(inner, expand, expand_bias))

    def extract(self) -> nn.Module:
        """A squeeze-and-excite of the active widths."""
        reduce, reduce_bias, expand, expand_bias = self._parts()
        width, inner = expand.shape[:2]
        return SqueezeExcite(
            around(
                self.fc.reduce,
                {"weight": reduce, "bias": reduce_bias},
                in_channels=width,
                out_channels=inner,
            ),
            around(
                self.fc.expand,
                {"weight": expand, "bias": expand_bias},
                in_channels=inner,
                out_channels=width,
            ),
        )


class ElasticLinear(Elastic):
    """A linear layer of elastic input width."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width_in, width_out)
        self.cut: Cut = None

    def activate(self, width_in: int) -> None:
        """Use the leading inputs."""
        full = (self.linear.out_features, self.linear.in_features)
        self.cut = _cut((full[0], width_in), full)

    def forward(self, x: Tensor) -> Tensor:
        """(n, active in) -> (n, out)."""
        return functional.linear(x, _part(self.linear.weight, self.cut), self.linear.bias)

    def extract(self) -> nn.Module:
        """A linear layer of the active width."""
        weight = _part(self.linear.weight, self.cut)
        tensors = {"weight": weight, "bias": self.linear.bias}
        return around(self.linear, tensors, in_features=weight.shape[1])


class ElasticSequence(Elastic):
    """Modules run one after the other, of which some may be left out.

    Its parameters have the names of a plain sequence's: "0.weight", "1.weight", ..
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        super().__init__()
        for place, module in enumerate(modules):
            self.add_module(str(place), module)
        self.running = tuple(range(len(self._modules)))

    def __getitem__(self, place: int) -> nn.Module:
        return self.get_submodule(str(place))

    def activate(self, running: Iterable[int]) -> None:
        """Run the modules at these places, in this order."""
        self.running = tuple(running)

    def forward(self, x: Tensor) -> Tensor:
        """The running modules' composition."""
        for place in self.running:
            x = self[place](x)
        return x

    def extract(self) -> nn.Module:
        """A plain sequence of the running ones, numbered anew."""
        return nn.Sequential(*(extract(self[place]) for place in self.running))


def _cut(sizes: tuple[int, ...], full: tuple[int, ...]) -> Cut:
    return None if sizes == full else tuple(slice(size) for size in sizes)


def _part(tensor: Tensor, cut: Cut) -> Tensor:
    return tensor if cut is None else tensor[cut]
