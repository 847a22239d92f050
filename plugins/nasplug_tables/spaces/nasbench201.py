"""The cell space of NAS-Bench-201 (Dong & Yang, ICLR 2020), with networks that can be built."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import nn

from nasplug import NasplugError, PositiveInt, SearchSpace, Variable
from nasplug.contracts.types import Architecture, Archs, FloatArray, IntArray

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""In the benchmark's own order."""

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(from, to), in the order of the benchmark's architecture strings."""


class NasBench201(SearchSpace):
    """A cell of four nodes, each the sum of an operation on every earlier one; node 3 is the output.

    The network is a 3 x 3 convolution, three stages of `cells` cells with `channels` channels, twice
    and four times as many, residual blocks that halve the image between them, and a linear
    classifier.

    With `isomorphic`, cells that compute the same expression are one architecture (6,466 of them),
    and the one with the smallest option indices stands for all; without, every one of the
    benchmark's 15,625 strings is an architecture of its own.
    """

    def __init__(
        self,
        channels: PositiveInt = 16,
        cells: PositiveInt = 5,
        num_classes: PositiveInt | None = None,
        in_channels: PositiveInt | None = None,
        image_size: PositiveInt | None = None,
        isomorphic: bool = True,
    ) -> None:
        self.channels = channels
        self.cells = cells
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.image_size = image_size
        self.isomorphic = isomorphic
        self._classes, self._inputs, self._size = (
            num_classes or 10,
            in_channels or 3,
            image_size or 32,
        )
        if self._size % 4:
            raise NasplugError(f"image_size must be a multiple of 4, but got {self._size}")

    @property
    def variables(self) -> tuple[Variable, ...]:
        """One variable per pair of nodes: the operation on the edge from the earlier to the later."""
        return tuple(Variable(f"edge{source}{target}", OPERATIONS) for source, target in EDGES)

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """Pairs of variables (edges) of which the first leads into the second, for predictors on
        graphs."""
        names = {edge: f"edge{edge[0]}{edge[1]}" for edge in EDGES}
        return tuple((names[a], names[b]) for a in EDGES for b in EDGES if a[1] == b[0])

    def canonical(self, archs: Archs) -> IntArray:
        """The representative of each class of isomorphic cells (`isomorphic`), or the cells
        unchanged; shape (n, 6)."""
        genes = np.asarray(archs, np.int64).reshape(-1, len(EDGES))
        return _representatives()[genes @ _PLACES] if self.isomorphic else genes

    def build(self, arch: Architecture) -> nn.Module:
        """The benchmark's network, including operations whose output is not used."""
        operations = [OPERATIONS[i] for i in arch]
        width = self.channels
        layers: list[nn.Module] = [
            nn.Sequential(
                nn.Conv2d(self._inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
            )
        ]
        for stage in range(3):
            if stage:
                layers.append(Reduction(width))
                width *= 2
            layers += [Cell(operations, width) for _ in range(self.cells)]
        layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(width, self._classes))

    def example_inputs(self, batch_size: int) -> tuple[torch.Tensor, ...]:
        """Black images, shape (batch_size, in_channels, image_size, image_size)."""
        return (torch.zeros(batch_size, self._inputs, self._size, self._size),)

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """`params` and `macs`, exact, from the number of convolutions of each kind in a cell."""
        genes = self.canonical(archs)
        ones = (genes == OPERATIONS.index("nor_conv_1x1")).sum(axis=1)
        threes = (genes == OPERATIONS.index("nor_conv_3x3")).sum(axis=1)
        width, side = self.channels, self._size
        params = 9 * self._inputs * width + 2 * width + np.zeros(len(genes))
        macs = 9 * self._inputs * width * side**2 + np.zeros(len(genes))
        for stage in range(3):
            if stage:
                width, side = 2 * width, side // 2
                convolutions = 9 * width * width // 2 + 9 * width * width + width * width // 2
                params += convolutions + 4 * width
                macs += convolutions * side**2
            weights = self.cells * width * width * (ones + 9 * threes)
            params += weights + self.cells * 2 * width * (ones + threes)
            macs += weights * side**2
        params += 2 * width + (width + 1) * self._classes
        return {"params": params, "macs": macs + width * self._classes}

    def parse(self, text: str) -> Architecture:
        """The architecture of a string of the benchmark, such as
        `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|`."""
        found = re.findall(r"\|?([a-z0-9_]+)~(\d)\|", text)
        names = [name for name, _ in found]
        if not set(names) <= set(OPERATIONS) or self._text(names) != (text.strip() or None):
            example = self._text(["nor_conv_3x3"] * 6)
            raise NasplugError(
                f"a cell must be written like {example}, with operations of {', '.join(OPERATIONS)}, "
                f"but got {text!r}"
            )
        genes = tuple(OPERATIONS.index(name) for name in names)
        arch: Architecture = tuple(self.canonical([genes])[0].tolist())
        return arch

    def format(self, arch: Architecture) -> str:
        """The benchmark's string of an architecture."""
        return self._text([OPERATIONS[i] for i in arch])

    def _text(self, names: list[str]) -> str:
        if len(names) != len(EDGES):
            return ""  # no cell
        nodes = [
            "|".join(
                f"{name}~{i}" for name, (i, to) in zip(names, EDGES, strict=True) if to == node
            )
            for node in (1, 2, 3)
        ]
        return "+".join(f"|{node}|" for node in nodes)


class Cell(nn.Module):
    """One cell: (b, width, h, w) to the same shape."""

    def __init__(self, operations: list[str], width: int) -> None:
        super().__init__()
        self.edges = nn.ModuleDict(
            {
                f"{source}{target}": _operation(name, width)
                for name, (source, target) in zip(operations, EDGES, strict=True)
                if name != "none"
            }
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum at node 3; zeros where no edge leads to it."""
        nodes = [x]
        for target in (1, 2, 3):
            parts = [
                self.edges[f"{source}{target}"](node)
                for source, node in enumerate(nodes)
                if f"{source}{target}" in self.edges
            ]
            nodes.append(torch.stack(parts).sum(0) if parts else torch.zeros_like(x))
        return nodes[3]


class Reduction(nn.Module):
    """The residual block between stages: (b, width, h, w) to (b, 2 width, h / 2, w / 2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _convolution(width, 2 * width, 3, stride=2)
        self.second = _convolution(2 * width, 2 * width, 3)
        self.short = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(width, 2 * width, 1, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Two convolutions, plus average pooling with a 1 x 1 convolution."""
        out: torch.Tensor = self.short(x) + self.second(self.first(x))
        return out


def _operation(name: str, width: int) -> nn.Module:
    operations: dict[str, Callable[[], nn.Module]] = {
        "skip_connect": nn.Identity,
        "nor_conv_1x1": lambda: _convolution(width, width, 1),
        "nor_conv_3x3": lambda: _convolution(width, width, 3),
        "avg_pool_3x3": lambda: nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
    }
    return operations[name]()


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


# ---- isomorphic cells ----------------------------------------------------------------------------

_PLACES = len(OPERATIONS) ** np.arange(len(EDGES))[::-1]
"""What each edge's index is worth in the number of a cell."""


@cache
def _representatives() -> IntArray:
    """For the number of every cell, the first cell that computes the same, shape (15625, 6)."""
    cells = np.indices((len(OPERATIONS),) * len(EDGES)).reshape(len(EDGES), -1).T
    first: dict[str, int] = {}
    return cells[[first.setdefault(_expression(c), n) for n, c in enumerate(cells.tolist())]]


def _expression(cell: list[int]) -> str:
    """The expression that a cell computes, in the form in which the benchmark's authors compare
    cells.

    Terms of a sum are sorted; a skip connection is replaced by its source; what is computed from a
    zero is a zero, and stays a term. The authors write sums without brackets, so the operations'
    names affect the comparison.
    """
    nodes = ["0"]
    for target in (1, 2, 3):
        terms = []
        for gene, (source, to) in zip(cell, EDGES, strict=True):
            if to == target:
                name, inner = OPERATIONS[gene], nodes[source]
                zero = name == "none" or inner == "#"
                term = inner if name == "skip_connect" else f"({inner})@{name}"
                terms.append("#" if zero else term)
        nodes.append("+".join(sorted(terms)))
    return nodes[3]
