"""The cell space of TransNAS-Bench-101 (Duan et al., CVPR 2021)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from nasplug import NasplugError, PositiveInt, SearchSpace, Variable
from nasplug.contracts.types import Architecture, Archs, FloatArray
from nasplug_tables.spaces.transnasbench101_network import (
    Place,
    Reduction,
    convolution,
    network,
    places,
    stem_costs,
    stem_sides,
)

OPERATIONS = ("none", "skip_connect", "conv_1x1", "conv_3x3")
"""By the digits that the benchmark writes for them."""

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(from, to), in the order of the benchmark's strings."""

SKELETON = "64-41414"
"""With which the benchmark's strings begin."""


class TransNasBench101Micro(SearchSpace):
    """A cell of four nodes, each the sum of one of four operations on every earlier one: 4,096.

    Every cell string is an architecture of its own, as in the benchmark. The network is a stem that
    quarters the image and five modules of two cells; by the digits of `skeleton` a module keeps the
    size (1), doubles the channels (2), halves the image (3) or does both (4).
    """

    def __init__(
        self,
        channels: PositiveInt = 64,
        skeleton: str = "41414",
        num_classes: PositiveInt | None = None,
        in_channels: PositiveInt | None = None,
        image_size: PositiveInt | None = None,
    ) -> None:
        if channels % 2:
            raise NasplugError(f"channels must be even, but got {channels}")
        if not re.fullmatch("[1-4]+", skeleton):
            raise NasplugError(f"skeleton must be digits of 1 to 4, but got {skeleton!r}")
        self.channels = channels
        self.skeleton = skeleton
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.image_size = image_size
        self._classes, self._inputs, self._size = (
            num_classes or 75,
            in_channels or 3,
            image_size or 256,
        )

    @property
    def variables(self) -> tuple[Variable, ...]:
        """One variable per pair of nodes: the operation on the edge from the earlier to the later."""
        return tuple(Variable(f"edge{source}{target}", OPERATIONS) for source, target in EDGES)

    @property
    def _modules(self) -> list[int]:
        return [int(digit) for digit in self.skeleton]

    def build(self, arch: Architecture) -> nn.Module:
        """The network of the benchmark with a linear classifier."""
        names = [OPERATIONS[i] for i in arch]
        return network(
            self._modules,
            self.channels,
            self._inputs,
            self._classes,
            lambda place: Cell(names, place),
        )

    def example_inputs(self, batch_size: int) -> tuple[torch.Tensor, ...]:
        """Black images, shape (batch_size, in_channels, image_size, image_size)."""
        return (torch.zeros(batch_size, self._inputs, self._size, self._size),)

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """`params` and `macs`, exact, from the number of operations of each kind in a cell."""
        genes = np.asarray(archs, np.int64)
        first = np.array([source == 0 for source, _ in EDGES])
        entering, inner = (
            [(genes[:, edges] == k).sum(axis=1) for k in range(len(OPERATIONS))]
            for edges in (first, ~first)
        )
        params, macs = stem_costs(self._inputs, self.channels, self._size)
        total, products = np.full(len(genes), float(params)), np.full(len(genes), float(macs))
        width = self.channels
        for place in places(self._modules, self.channels, stem_sides(self._size)[1]):
            reductions = entering[1] * place.changes
            into = (entering[2] + reductions + 9 * entering[3]) * place.inputs * place.outputs
            between = (inner[2] + 9 * inner[3]) * place.outputs**2
            norms = entering[2] + reductions + entering[3] + inner[2] + inner[3]
            total += into + between + 2 * place.outputs * norms
            products += (into + between) * place.side**2
            width = place.outputs
        return {
            "params": total + (width + 1) * self._classes,
            "macs": products + width * self._classes,
        }

    def parse(self, text: str) -> Architecture:
        """The architecture of a string of the benchmark, such as `64-41414-1_02_333`, or of its
        cell alone, `1_02_333`. Channels and skeleton are settings of the space, not part of the
        architecture."""
        found = re.fullmatch(rf"(?:{SKELETON}-)?([0-3])_([0-3]{{2}})_([0-3]{{3}})", text.strip())
        if not found:
            raise NasplugError(
                f"a cell must be written like {SKELETON}-1_02_333, with digits of 0 to 3 "
                f"({', '.join(OPERATIONS)}), but got {text!r}"
            )
        return tuple(int(digit) for digit in "".join(found.groups()))

    def format(self, arch: Architecture) -> str:
        """The benchmark's string of an architecture."""
        digits = "".join(map(str, arch))
        return f"{SKELETON}-{digits[0]}_{digits[1:3]}_{digits[3:]}"


class Cell(nn.Module):
    """One cell, (b, inputs, h, w) to (b, outputs, h / stride, w / stride); the operations on node 0
    change channels and image size."""

    def __init__(self, names: Sequence[str], place: Place) -> None:
        super().__init__()
        inner = Place(place.outputs, place.outputs, 1, place.side)
        self.edges = nn.ModuleDict(
            {
                f"{source}{target}": _operation(name, inner if source else place)
                for name, (source, target) in zip(names, EDGES, strict=True)
            }
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum at node 3."""
        nodes = [x]
        for target in (1, 2, 3):
            parts = [self.edges[f"{s}{target}"](node) for s, node in enumerate(nodes)]
            nodes.append(torch.stack(parts).sum(0))
        return nodes[3]


class Zero(nn.Module):
    """Zeros of the shape that the operations of the edge put out, as in the benchmark: computed, so
    that what leads nowhere is still part of the network."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, inputs, h, w) to (b, outputs, h / stride, w / stride)."""
        stride = self.place.stride
        return 0 * x[:, :1, ::stride, ::stride].expand(-1, self.place.outputs, -1, -1)


def _operation(name: str, place: Place) -> nn.Module:
    if name == "none":
        return Zero(place)
    if name == "skip_connect":
        return Reduction(place) if place.changes else nn.Identity()
    return convolution(place.inputs, place.outputs, int(name[-1]), place.stride)
