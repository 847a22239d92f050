"""The space of NAS-Bench-Macro (Su et al., CVPR 2021): eight MobileNet-like layers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from nasplug import NasplugError, PositiveInt, SearchSpace, Variable
from nasplug.contracts.types import Architecture, Archs, FloatArray, IntArray

BLOCKS = {"identity": None, "mb3_k3": (3, 3), "mb6_k5": (6, 5)}
"""By the benchmark's digits: no block, or an inverted bottleneck's (expansion, kernel)."""

OPTIONS = tuple(BLOCKS)


class NasBenchMacro(SearchSpace):
    """Eight layers in three stages, each an inverted bottleneck of two sizes, or nothing.

    The first layer of a stage (`stages` says how many layers each has) doubles the channels and
    halves the image, by a 1 x 1 convolution where it is nothing else. `head` is how many channels
    the last convolution has.

    With `isomorphic`, strings that differ in where a stage has its layers that are nothing are one
    architecture (3,969 of them), as those who trained the networks did it, such layers standing
    last; without, each of the 6,561 strings is.
    """

    def __init__(
        self,
        channels: PositiveInt = 32,
        stages: Sequence[PositiveInt] = (2, 3, 3),
        head: PositiveInt = 1280,
        num_classes: PositiveInt | None = None,
        in_channels: PositiveInt | None = None,
        image_size: PositiveInt | None = None,
        isomorphic: bool = True,
    ) -> None:
        if not stages or min(stages) < 1:
            raise NasplugError(f"stages must be numbers of layers, from 1, but got {list(stages)}")
        self.channels = channels
        self.stages = list(stages)
        self.head = head
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.image_size = image_size
        self.isomorphic = isomorphic
        self._classes, self._inputs, self._size = (
            num_classes or 10,
            in_channels or 3,
            image_size or 32,
        )

    @property
    def variables(self) -> tuple[Variable, ...]:
        """One variable per layer."""
        return tuple(Variable(f"layer{n}", OPTIONS) for n in range(1, sum(self.stages) + 1))

    def canonical(self, archs: Archs) -> IntArray:
        """Identity layers moved to the end of their stage (the first layer of a stage stays); shape
        (n, layers)."""
        genes = np.array(archs, np.int64).reshape(-1, sum(self.stages))
        if self.isomorphic:
            ends = np.cumsum(self.stages)
            for start, end in zip(ends - self.stages + 1, ends, strict=True):
                inner = genes[:, start:end]
                order = np.argsort(inner == 0, axis=1, kind="stable")
                genes[:, start:end] = np.take_along_axis(inner, order, axis=1)
        return genes

    def build(self, arch: Architecture) -> nn.Module:
        """The network of the benchmark."""
        layers: list[nn.Module] = [*_convolution(self._inputs, self.channels, 3)]
        width = self.channels
        for gene, (inputs, width, stride) in zip(arch, self._layers(), strict=True):
            layers.append(_layer(OPTIONS[gene], inputs, width, stride))
        layers += [*_convolution(width, self.head, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(self.head, self._classes))

    def _layers(self) -> Iterator[tuple[int, int, int]]:
        """(inputs, outputs, stride) of every layer."""
        width = self.channels
        for count in self.stages:
            yield width, 2 * width, 2
            width *= 2
            for _ in range(count - 1):
                yield width, width, 1

    def example_inputs(self, batch_size: int) -> tuple[torch.Tensor, ...]:
        """Black images, shape (batch_size, in_channels, image_size, image_size)."""
        return (torch.zeros(batch_size, self._inputs, self._size, self._size),)

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """`params` and `macs`, exact: the sum of the costs of the chosen layers."""
        genes = np.asarray(archs, np.int64)
        side, width = self._size, self.channels
        params = np.full(len(genes), 9.0 * self._inputs * width + 2 * width)
        macs = np.full(len(genes), 9.0 * self._inputs * width * side**2)
        for layer, (inputs, width, stride) in enumerate(self._layers()):
            costs = np.array([_cost(name, inputs, width, stride, side) for name in OPTIONS])
            side = -(-side // stride)
            params += costs[genes[:, layer], 0]
            macs += costs[genes[:, layer], 1]
        params += width * self.head + 2 * self.head + (self.head + 1) * self._classes
        macs += width * self.head * side**2 + self.head * self._classes
        return {"params": params, "macs": macs}

    def parse(self, text: str) -> Architecture:
        """The architecture of the benchmark's digits, such as `01202112`: 0 is the identity, 1 and
        2 are the two bottlenecks."""
        layers = sum(self.stages)
        if not re.fullmatch(f"[0-2]{{{layers}}}", text.strip()):
            raise NasplugError(
                f"a network must be written as {layers} digits of 0 to 2 ({', '.join(OPTIONS)}), but "
                f"got {text!r}"
            )
        digits = tuple(int(digit) for digit in text.strip())
        arch: Architecture = tuple(self.canonical([digits])[0].tolist())
        return arch

    def format(self, arch: Architecture) -> str:
        """The benchmark's digits of an architecture."""
        return "".join(map(str, arch))


class Bottleneck(nn.Module):
    """An inverted bottleneck, (b, inputs, h, w) to (b, outputs, h / stride, w / stride): expansion,
    depthwise convolution, projection."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, kernel: int) -> None:
        super().__init__()
        inner = expansion * inputs
        self.residual = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            *_convolution(inputs, inner, 1),
            *_convolution(inner, inner, kernel, stride, groups=inner),
            *_convolution(inner, outputs, 1)[:-1],
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The three convolutions, added to the input where the shapes are equal."""
        out: torch.Tensor = self.layers(x)
        return out + x if self.residual else out


def _layer(name: str, inputs: int, outputs: int, stride: int) -> nn.Module:
    if block := BLOCKS[name]:
        return Bottleneck(inputs, outputs, stride, *block)
    if stride == 1:
        return nn.Identity()
    return nn.Sequential(*_convolution(inputs, outputs, 1, stride)[:-1])


def _cost(name: str, inputs: int, outputs: int, stride: int, side: int) -> tuple[int, int]:
    """`params` and `macs` of one layer for an image of `side` pixels."""
    after = -(-side // stride)
    if block := BLOCKS[name]:
        expansion, kernel = block
        inner = expansion * inputs
        wide, narrow = inputs * inner, (kernel**2 + outputs) * inner
        return wide + narrow + 4 * inner + 2 * outputs, wide * side**2 + narrow * after**2
    if stride == 1:
        return 0, 0
    return inputs * outputs + 2 * outputs, inputs * outputs * after**2


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Convolution, batch norm, ReLU."""
    padding = kernel // 2
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]
