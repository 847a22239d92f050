"""What the networks of both spaces of TransNAS-Bench-101 (Duan et al., CVPR 2021) share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

WIDER, SMALLER = (2, 4), (3, 4)
"""Of the digits of a skeleton those of modules that double the channels, and that halve the image."""

BLOCKS = 2
"""A module."""


@dataclass(frozen=True)
class Place:
    """Where a block is in the network: its input and output channels, its stride, and the side of
    its output image."""

    inputs: int
    outputs: int
    stride: int
    side: int

    @property
    def changes(self) -> bool:
        """Whether channels or image size change."""
        return self.stride > 1 or self.inputs != self.outputs


def places(skeleton: Sequence[int], channels: int, side: int) -> Iterator[Place]:
    """The places of all blocks after the stem, whose output image has `side`; the first block of a
    module changes channels and size as the module's digit says."""
    for digit in skeleton:
        wider, stride = (2 if digit in WIDER else 1) * channels, 2 if digit in SMALLER else 1
        side = -(-side // stride)
        yield Place(channels, wider, stride, side)
        for _ in range(BLOCKS - 1):
            yield Place(wider, wider, 1, side)
        channels = wider


def stem_sides(image_size: int) -> tuple[int, int]:
    """The sides of the image after each of the stem's two convolutions."""
    half = -(-image_size // 2)
    return half, -(-half // 2)


def stem_costs(inputs: int, channels: int, image_size: int) -> tuple[int, int]:
    """`params` and `macs` of the stem."""
    first, second = stem_sides(image_size)
    weights = 9 * inputs * (channels // 2), 9 * (channels // 2) * channels
    params = sum(weights) + channels + 2 * channels
    return params, weights[0] * first**2 + weights[1] * second**2


def network(
    skeleton: Sequence[int],
    channels: int,
    inputs: int,
    classes: int,
    block: Callable[[Place], nn.Module],
) -> nn.Module:
    """A stem that quarters the image, the modules' blocks, and a linear classifier."""
    half = channels // 2
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, half, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(half),
        convolution(half, channels, 3, stride=2),
    ]
    last = channels
    for place in places(skeleton, channels, 1):
        layers.append(block(place))
        last = place.outputs
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, classes)]
    return nn.Sequential(*layers)


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    """ReLU, convolution, batch norm."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Basic(nn.Module):
    """The residual block of two convolutions: (b, inputs, h, w) to (b, outputs, h / stride, ..)."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.first = convolution(place.inputs, place.outputs, 3, place.stride)
        self.second = convolution(place.outputs, place.outputs, 3)
        self.short = nn.Identity() if not place.changes else _projection(place)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Two convolutions, plus the skip connection."""
        out: torch.Tensor = self.short(x) + self.second(self.first(x))
        return out


def _projection(place: Place) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(place.inputs, place.outputs, 1, place.stride, bias=False),
        nn.BatchNorm2d(place.outputs),
    )


class Reduction(nn.Module):
    """A skip connection where channels or size change: two 1 x 1 convolutions, each for half of the
    channels, one of the image as it is and one of it moved by a pixel."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        half = place.outputs // 2
        self.straight = nn.Conv2d(place.inputs, half, 1, place.stride, bias=False)
        self.moved = nn.Conv2d(place.inputs, place.outputs - half, 1, place.stride, bias=False)
        self.norm = nn.BatchNorm2d(place.outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, inputs, h, w) to (b, outputs, h / stride, w / stride)."""
        x = x.relu()
        shifted = nn.functional.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        out: torch.Tensor = self.norm(torch.cat([self.straight(x), self.moved(shifted)], dim=1))
        return out
