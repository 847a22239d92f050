"""The residual bottleneck of ResNet-50D, plain and elastic, from one definition."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nasplug_ofa.layers.costs import Cost, Count, conv_cost, norm_cost, reduced, total
from nasplug_ofa.layers.layer_factory import LayerFactory
from nasplug_ofa.layers.plain import named


def conv_norm(
    factory: LayerFactory, width_in: int, width_out: int, kernel: int, stride: int = 1
) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return named(
        conv=factory.conv(width_in, width_out, kernel, stride),
        bn=factory.norm(width_out),
        act=nn.ReLU(),
    )


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride) and 1x1 convolution, beside a shortcut; ReLU on the sum.

    The shortcut is the identity, or, in a stage's first block (`project`), average pooling and a
    1x1 convolution (He et al., Bag of Tricks, CVPR 2019, ResNet-D).
    """

    def __init__(
        self,
        factory: LayerFactory,
        width_in: int,
        middle: int,
        width_out: int,
        stride: int,
        project: bool,
    ) -> None:
        super().__init__()
        self.conv1 = conv_norm(factory, width_in, middle, 1)
        self.conv2 = conv_norm(factory, middle, middle, 3, stride)
        self.conv3 = named(conv=factory.conv(middle, width_out), bn=factory.norm(width_out))
        self.downsample = (
            named(
                avg_pool=nn.AvgPool2d(stride, stride, ceil_mode=True),
                conv=factory.conv(width_in, width_out),
                bn=factory.norm(width_out),
            )
            if project
            else nn.Identity()
        )
        self.act = nn.ReLU()

    @property
    def residual_body(self) -> nn.Module:
        """The last of what is added to the shortcut."""
        return self.conv3

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, ceil(h / stride), ceil(w / stride))."""
        out: Tensor = self.act(self.conv3(self.conv2(self.conv1(x))) + self.downsample(x))
        return out


def activate_conv(part: Any, width_in: int, width_out: int) -> None:
    """Set the widths of an elastic convolution and its batch norm."""
    part.conv.activate(width_in, width_out)
    part.bn.activate(width_out)


def activate_bottleneck(module: Any, width_in: int, middle: int, width_out: int) -> None:
    """Set the three widths of an elastic bottleneck."""
    activate_conv(module.conv1, width_in, middle)
    activate_conv(module.conv2, middle, middle)
    activate_conv(module.conv3, middle, width_out)
    if isinstance(module.downsample, nn.Sequential):
        activate_conv(module.downsample, width_in, width_out)


def bottleneck_cost(
    width_in: Count, middle: Count, width_out: Count, stride: int, project: bool, size: int
) -> Cost:
    """Params and macs of a bottleneck on an input of `size` x `size`; widths may be arrays."""
    after = reduced(size, stride)
    parts = [
        conv_cost(width_in, middle, size),
        conv_cost(middle, middle, after, kernel=3),
        conv_cost(middle, width_out, after),
        norm_cost(2 * middle + width_out),
    ]
    if project:
        parts += [conv_cost(width_in, width_out, after), norm_cost(width_out)]
    return total(*parts)
