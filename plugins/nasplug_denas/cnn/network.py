"""The residual networks of PlainNet strings: plain, or of elastic layers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, cast, final

from torch import Tensor, nn

from nasplug.elastic import (
    Elastic,
    ElasticBatchNorm2d,
    ElasticConv2d,
    ElasticLinear,
    ElasticSequential,
    Residual,
    Size,
    Sized,
    extract,
)
from nasplug.toolkit.elastic.sizes import Own
from nasplug_denas.cnn.plainnet import Kind, SuperBlock

EPS = 1e-3
"""Of batch norms, as published."""
GAIN = 3.26033
"""Of the normal distribution of fresh weights, as published."""


@final
class ElasticKinds(Elastic, nn.Module):
    """A super-block that is of one of several kinds, each with weights of its own.

    Args:
        sublayers: For each kind the sub-layers, of which the leading ones run.
        depth: How many of them run: a number, or a size that variables decide.
        chosen: For each kind 1 where the block is of it, else 0, likewise.

    `extract` gives the plain sequence of the sub-layers that run.
    """

    KIND = nn.Sequential

    def __init__(
        self,
        sublayers: Mapping[str, Sequence[nn.Module]],
        depth: Sized,
        chosen: Mapping[str, Sized],
    ) -> None:
        super().__init__()
        # A depth follows from one variable, so the kind's is outside of the sub-layers'.
        for kind, layers in sublayers.items():
            row = ElasticSequential(*layers, depth=depth)
            self.add_module(kind, ElasticSequential(row, depth=chosen[kind]))
        self.declare()

    def activate(self) -> None:
        """Nothing: its sequences are set on their own."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h', w')."""
        for one in self.children():
            x = one(x)
        return x

    def extract(self, ties: Any = None) -> nn.Module:
        """The sub-layers of the active kind that run."""
        (row,) = (row for one in self.children() for row in cast(ElasticSequential, one))
        return extract(row, ties)


def whole_network(blocks: Sequence[nn.Module], features: Sized, num_classes: int) -> nn.Sequential:
    """Images (n, channels, size, size) -> logits (n, classes)."""
    parts: dict[str, nn.Module] = {
        "blocks": nn.Sequential(*blocks),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "classifier": ElasticLinear(features, num_classes),
    }
    return nn.Sequential(OrderedDict(parts))


def plain_network(blocks: Sequence[SuperBlock], num_classes: int) -> nn.Sequential:
    """The plain network of any super-blocks, with torch's own fresh weights."""
    rows = [
        nn.Sequential(
            *sublayers(
                b.kind,
                b.kernel,
                b.in_channels,
                b.out_channels,
                b.stride,
                b.bottleneck,
                b.sublayers,
            )
        )
        for b in blocks
    ]
    return cast(nn.Sequential, extract(whole_network(rows, blocks[-1].out_channels, num_classes)))


def sublayers(
    kind: Kind,
    kernel: Sized,
    width_in: Sized,
    width: Sized,
    stride: int,
    bottleneck: Sized,
    number: int,
) -> list[nn.Module]:
    """The sub-layers of a super-block; sizes are numbers, or what variables decide."""
    make = {"conv": _conv, "basic": _basic, "bottleneck": _twice_bottleneck}[kind]
    return [
        make(kernel, width if k else width_in, width, 1 if k else stride, bottleneck, k == 0)
        for k in range(number)
    ]


def _conv(
    kernel: Sized, width_in: Sized, width: Sized, stride: int, inner: Sized, first: bool
) -> nn.Module:
    return nn.Sequential(*_conv_norm(width_in, width, kernel, stride), nn.ReLU())


def _basic(
    kernel: Sized, width_in: Sized, width: Sized, stride: int, inner: Sized, first: bool
) -> nn.Module:
    inner = _own(inner)
    body = nn.Sequential(
        *_conv_norm(width_in, inner, kernel, stride), nn.ReLU(), *_conv_norm(inner, width, kernel)
    )
    return nn.Sequential(Residual(body, _shortcut(width_in, width, stride, first)), nn.ReLU())


def _twice_bottleneck(
    kernel: Sized, width_in: Sized, width: Sized, stride: int, inner: Sized, first: bool
) -> nn.Module:
    return nn.Sequential(
        Residual(
            _bottleneck(kernel, width_in, width, stride, inner),
            _shortcut(width_in, width, stride, first),
        ),
        nn.ReLU(),
        Residual(_bottleneck(kernel, width, width, 1, inner), nn.Identity()),
        nn.ReLU(),
    )


def _bottleneck(
    kernel: Sized, width_in: Sized, width: Sized, stride: int, inner: Sized
) -> nn.Module:
    one, other = _own(inner), _own(inner)
    return nn.Sequential(
        *_conv_norm(width_in, one),
        nn.ReLU(),
        *_conv_norm(one, other, kernel, stride),
        nn.ReLU(),
        *_conv_norm(other, width),
    )


def _shortcut(width_in: Sized, width: Sized, stride: int, first: bool) -> nn.Module:
    """Of a block's first sub-layer always a convolution, whose bias is as published; else the input."""
    if not first:
        return nn.Identity()
    return nn.Sequential(*_conv_norm(width_in, width, 1, stride, bias=True))


def _conv_norm(
    width_in: Sized, width: Sized, kernel: Sized = 1, stride: int = 1, bias: bool = False
) -> tuple[nn.Module, nn.Module]:
    conv = ElasticConv2d(width_in, width, kernel, stride, bias=bias)
    return conv, ElasticBatchNorm2d(width, EPS)


def _own(size: Sized) -> Sized:
    """An axis inside of a block, whose channels are sorted on their own."""
    return Own(size) if isinstance(size, Size) else size


def initialise(network: nn.Module, zero_last_norm: bool) -> None:
    """Draw the weights anew as Zen-NAS does to train, from torch's global generator.

    Convolutions and the linear layer normally by Glorot and Bengio's rule times 3.26033, biases 0;
    the last batch norm beside a shortcut starts at 0, if `zero_last_norm`, so that every block starts
    as its shortcut.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(module.weight, GAIN)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    if zero_last_norm:
        for module in network.modules():
            if isinstance(module, Residual):
                last = list(module.body.children())[-1]
                nn.init.zeros_(cast(nn.BatchNorm2d, last).weight)
