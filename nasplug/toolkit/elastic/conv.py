"""Elastic convolutions: of elastic widths and kernel size, grouped, and depth-wise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasplug.contracts.errors import NasplugError
from nasplug.toolkit.elastic.layer import Count, Elastic, Ties, copy_with_tensors, is_tracing
from nasplug.toolkit.elastic.sizes import Sized, Width, total


@final
class ElasticConv2d(Elastic, nn.Conv2d):
    """A convolution of elastic input and output widths and kernel size.

    A smaller kernel is the centre of the full one. With `groups`, each of them keeps its widths, and
    their number follows the input's width.

    Args:
        in_channels, out_channels, kernel_size: Numbers, or sizes that variables decide.
        stride, dilation, groups, bias: As in torch; `groups` those of the full layer.
        padding: Pixels at the full kernel size; None: half the kernel, so that the output is as
            large as the input divided by the stride.
    """

    KIND = nn.Conv2d
    AXES = (
        ("weight", ("out_channels", "in_channels", "kernel_size", "kernel_size")),
        ("bias", ("out_channels",)),
    )
    READS = frozenset({"in_channels"})

    def __init__(
        self,
        in_channels: Sized,
        out_channels: Sized,
        kernel_size: Sized = 1,
        stride: int = 1,
        padding: int | None = None,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        kernel = total(kernel_size)
        reach = dilation * (kernel - 1) // 2 if padding is None else padding
        super().__init__(
            total(in_channels), total(out_channels), kernel, stride, reach, dilation, groups, bias
        )
        self.declare(in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size)
        self.active_padding, self.active_groups = self.padding, groups
        if groups > 1:  # whole groups are active: the weight's second axis is one group's input
            axes = ("out_channels", None, "kernel_size", "kernel_size")
            self.axes = (("weight", axes), ("bias", ("out_channels",)))

    def activate(
        self,
        in_channels: Width | None = None,
        out_channels: Width | None = None,
        kernel_size: int | None = None,
    ) -> None:
        """Use the leading channels and the centre of the kernel."""
        self.cut(in_channels, out_channels, kernel_size)
        if self.groups > 1:
            self.active_groups = self._groups(in_channels, out_channels)
        if kernel_size is not None or self.active_padding != self.padding:
            shrunk = self.kernel_size[0] - (kernel_size or self.kernel_size[0])
            less = self.dilation[0] * shrunk // 2
            self.active_padding = (int(self.padding[0]) - less, int(self.padding[1]) - less)

    def _groups(self, in_channels: Width | None, out_channels: Width | None) -> int:
        wide_in, wide_out = self.in_channels // self.groups, self.out_channels // self.groups
        in_now = self.in_channels if in_channels is None else in_channels
        out_now = self.out_channels if out_channels is None else out_channels
        if in_now % wide_in or in_now // wide_in * wide_out != out_now:  # type: ignore[operator]
            raise NasplugError(
                f"{self.groups} groups of {wide_in} input and {wide_out} output channels must be active "
                f"as wholes, but got in_channels={in_now}, out_channels={out_now}"
            )
        return in_now // wide_in  # type: ignore[operator]

    def forward(self, input: Tensor) -> Tensor:
        """(n, active in, h, w) -> (n, active out, ceil(h / stride), ceil(w / stride))."""
        cuts, weight, bias = self.cuts, self.weight, self.bias
        if cuts is not None:
            weight = self.part("weight")
            bias = None if bias is None else self.part("bias")
        return functional.conv2d(
            input, weight, bias, self.stride, self.active_padding, self.dilation, self.active_groups
        )

    def attributes(self, parts: Mapping[str, Tensor]) -> dict[str, Any]:
        """Widths, kernel, padding and groups."""
        outputs, inputs, *kernel = parts["weight"].shape
        padding = self.active_padding
        return {
            "in_channels": inputs * self.active_groups,
            "out_channels": outputs,
            "kernel_size": tuple(kernel),
            "padding": padding,
            "groups": self.active_groups,
            "_reversed_padding_repeated_twice": [padding[1], padding[1], padding[0], padding[0]],
        }

    def positions(self, inputs: tuple[Any, ...], keywords: Mapping[str, Any], output: Any) -> int:
        """Pixels of the output."""
        return int(output.shape[0] * output.shape[2] * output.shape[3])


@final
class ElasticDepthwiseConv2d(Elastic, nn.Conv2d):
    """A depth-wise convolution without bias, of elastic width and kernel size, same padding.

    One weight of the largest size is stored. The next smaller kernel is its centre, flattened and
    multiplied with a learned matrix that all channels share; the one after that is made from the
    transformed one in the same way, down to 3 (Cai et al., Once-for-All, ICLR 2020, section 3.3). The
    matrices start as the identity. `transform=False` leaves them out: a smaller kernel is the centre.
    """

    KIND = nn.Conv2d
    AXES = (("weight", ("channels", None, None, None)),)

    def __init__(
        self, channels: Sized, kernel_size: Sized, stride: int = 1, transform: bool = True
    ) -> None:
        width, kernel = total(channels), total(kernel_size)
        super().__init__(width, width, kernel, stride, kernel // 2, groups=width, bias=False)
        self.declare(channels=channels, kernel_size=kernel_size)
        self.transform = transform
        for small in range(3, kernel, 2) if transform else ():
            matrix = nn.Parameter(torch.eye(small**2))
            self.register_parameter(_matrix(small), matrix)
        self._parameters["weight"] = self._parameters.pop("weight")  # last, as published
        self.width, self.kernel = width, kernel

    def activate(self, channels: int | None = None, kernel_size: int | None = None) -> None:
        """Use the leading channels, with the kernel of that size."""
        full = self.kernel_size[0]
        kernel = full if kernel_size is None else kernel_size
        if kernel not in range(2 - full % 2, full + 1, 2) or (self.transform and kernel < 3 < full):
            least = 3 if self.transform and full > 3 else 2 - full % 2
            raise NasplugError(
                f"kernel_size must be one of {list(range(least, full + 1, 2))}, but got {kernel_size}"
            )
        self.cut(channels, None)
        self.width, self.kernel = channels or self.in_channels, kernel

    def active_weight(self) -> Tensor:
        """The active channels' kernels, (channels, 1, kernel, kernel)."""
        weight: Tensor = self.part("weight")
        for small in range(self.kernel_size[0] - 2, self.kernel - 1, -2):
            weight = weight[:, :, 1:-1, 1:-1]
            if self.transform:
                matrix = self._parameters[_matrix(small)]
                assert matrix is not None
                centre = weight.reshape(self.width, small**2)
                weight = functional.linear(centre, matrix).view(self.width, 1, small, small)
        return weight

    def forward(self, input: Tensor) -> Tensor:
        """(n, width, h, w) -> (n, width, ceil(h / stride), ceil(w / stride))."""
        weight, reach = self.active_weight(), self.kernel // 2
        if not (is_tracing() or torch.compiler.is_compiling()):
            # Taps that see nothing but padding are left out: on the last stages of a small image
            # most of a 7x7 kernel, and most of the backward pass.
            idle = max(0, reach + 1 - max(input.shape[2:]))
            if idle:
                weight = weight[:, :, idle:-idle, idle:-idle]
                reach -= idle
        return functional.conv2d(input, weight, None, self.stride, reach, groups=self.width)

    def extract(self, ties: Ties | None = None) -> nn.Module:
        """A depth-wise convolution with the transformed kernel; the matrices stay behind."""
        reach, width = self.kernel // 2, self.width
        return copy_with_tensors(
            self,
            {"weight": self.active_weight()},
            nn.Conv2d,
            in_channels=width,
            out_channels=width,
            kernel_size=(self.kernel, self.kernel),
            padding=(reach, reach),
            groups=width,
            _reversed_padding_repeated_twice=[reach] * 4,
        )

    def positions(self, inputs: tuple[Any, ...], keywords: Mapping[str, Any], output: Any) -> int:
        """Pixels of the output."""
        return int(output.shape[0] * output.shape[2] * output.shape[3])

    def numel(self, name: str, sizes: Mapping[str, Count]) -> Count:
        """Entries of the active kernels."""
        return sizes["channels"] * sizes["kernel_size"] * sizes["kernel_size"]


def _matrix(small: int) -> str:
    """The published name of the matrix that makes the kernel of this size from the next larger."""
    return f"{small + 2}to{small}_matrix"
