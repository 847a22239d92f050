"""The inverted-residual block (MBConv), plain and elastic, from one definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from nasplug.elastic import make_divisible
from nasplug_ofa.layers.layer_factory import LayerFactory
from nasplug_ofa.layers.plain import Residual, named


@dataclass(frozen=True)
class Block:
    """What is fixed about an MBConv block: widths outside, stride, activation, squeeze-and-excite."""

    width_in: int
    width_out: int
    stride: int
    activation: Callable[[], nn.Module]
    squeeze: bool
    shortcut: bool
    eps: float

    def middle(self, expand: float) -> int:
        """The width inside, for an expand ratio."""
        return make_divisible(round(self.width_in * expand))


def mbconv(factory: LayerFactory, block: Block, kernel: int, expand: float) -> Residual:
    """1x1 expansion (none for a ratio of 1), depth-wise kernel, squeeze-and-excite, 1x1 projection.

    With `ELASTIC`, kernel and ratio are the largest.
    """
    middle = block.middle(expand)
    parts: dict[str, nn.Module] = {}
    if expand != 1:
        parts["inverted_bottleneck"] = named(
            conv=factory.conv(block.width_in, middle),
            bn=factory.norm(middle, block.eps),
            act=block.activation(),
        )
    depth_conv: dict[str, nn.Module] = {
        "conv": factory.depthwise(middle, kernel, block.stride),
        "bn": factory.norm(middle, block.eps),
        "act": block.activation(),
    }
    if block.squeeze:
        depth_conv["se"] = factory.squeeze_excite(middle)
    parts["depth_conv"] = named(**depth_conv)
    parts["point_linear"] = named(
        conv=factory.conv(middle, block.width_out), bn=factory.norm(block.width_out, block.eps)
    )
    return Residual(named(**parts), block.shortcut)


def activate_mbconv(module: Residual, block: Block, kernel: int, expand: float) -> None:
    """Set the kernel and the inner width of an elastic block."""
    middle = block.middle(expand)
    conv: Any = module.conv
    conv.inverted_bottleneck.conv.activate(block.width_in, middle)
    conv.inverted_bottleneck.bn.activate(middle)
    conv.depth_conv.conv.activate(middle, kernel)
    conv.depth_conv.bn.activate(middle)
    if block.squeeze:
        conv.depth_conv.se.activate(middle)
    conv.point_linear.conv.activate(middle, block.width_out)
