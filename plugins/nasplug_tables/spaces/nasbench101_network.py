"""The networks of NAS-Bench-101 (Ying et al., ICML 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""In the benchmark's own order."""

KERNELS = {"conv3x3-bn-relu": 3, "conv1x1-bn-relu": 1}


@dataclass(frozen=True)
class Graph:
    """A pruned cell: the operations of nodes 1 to k, and edges between 0 (input) and k + 1 (output)."""

    operations: tuple[str, ...]
    edges: frozenset[tuple[int, int]]

    @property
    def output(self) -> int:
        """The number of the output node."""
        return len(self.operations) + 1

    @cached_property
    def sources(self) -> list[list[int]]:
        """For every node, the inner nodes with an edge to it."""
        return [[s for s in range(1, t) if (s, t) in self.edges] for t in range(self.output + 1)]

    def widths(self, inputs: int, outputs: int) -> list[int]:
        """Channels of every node.

        What reaches the output is concatenated, so the output's channels are shared out, the first
        nodes getting one more where they do not divide; any other node has as many as the widest
        that it leads to.
        """
        widths = [inputs, *[0] * len(self.operations), outputs]
        final = self.sources[self.output]
        for place, node in enumerate(final):
            widths[node] = outputs // len(final) + (place < outputs % len(final))
        for node in range(self.output - 1, 0, -1):
            if node not in final:
                widths[node] = max(widths[t] for s, t in self.edges if s == node)
        return widths

    def convolutions(self, inputs: int, outputs: int) -> list[tuple[int, int, int]]:
        """(inputs, outputs, kernel) of every convolution of a cell, including projections of its
        input."""
        widths = self.widths(inputs, outputs)
        projections = [(inputs, widths[target], 1) for source, target in self.edges if not source]
        operations = [
            (width, width, KERNELS[name])
            for name, width in zip(self.operations, widths[1:-1], strict=True)
            if name in KERNELS
        ]
        return projections + operations


class Cell(nn.Module):
    """(b, inputs, h, w) to (b, outputs, h, w).

    A node adds what leads to it, cut to its channels; the image enters by projections. The output
    is the concatenation of what leads there, plus the projected image where an edge says so.
    """

    def __init__(self, graph: Graph, inputs: int, outputs: int) -> None:
        super().__init__()
        self.graph = graph
        self.widths = graph.widths(inputs, outputs)
        self.projections = nn.ModuleDict(
            {
                str(target): convolution(inputs, self.widths[target], 1)
                for target in range(1, graph.output + 1)
                if (0, target) in graph.edges
            }
        )
        self.operations = nn.ModuleList(
            _operation(name, width)
            for name, width in zip(graph.operations, self.widths[1:-1], strict=True)
        )

    def extra_repr(self) -> str:
        """The edges."""
        return " ".join(f"{source}-{target}" for source, target in sorted(self.graph.edges))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The value of the output node."""
        nodes = [x]
        for node, operation in enumerate(self.operations, start=1):
            width = self.widths[node]
            parts = [nodes[source][:, :width] for source in self.graph.sources[node]]
            nodes.append(operation(_sum([*parts, *self._projected(x, node)])))
        output = self.graph.output
        parts = [nodes[source] for source in self.graph.sources[output]]
        whole = [torch.cat(parts, dim=1)] if parts else []
        return _sum([*whole, *self._projected(x, output)])

    def _projected(self, x: torch.Tensor, node: int) -> list[torch.Tensor]:
        return [self.projections[str(node)](x)] if str(node) in self.projections else []


def network(
    graph: Graph, channels: int, stacks: int, cells: int, inputs: int, classes: int
) -> nn.Module:
    """The whole network: a 3 x 3 convolution, stacks of cells, each new stack with half the image
    size and twice the channels, and a linear classifier."""
    layers: list[nn.Module] = [convolution(inputs, channels, 3)]
    width = channels
    for stack in range(stacks):
        if stack:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        for cell in range(cells):
            wider = 2 * width if stack and not cell else width
            layers.append(Cell(graph, width, wider))
            width = wider
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)]
    return nn.Sequential(*layers)


def convolution(inputs: int, outputs: int, kernel: int) -> nn.Module:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def _operation(name: str, width: int) -> nn.Module:
    if name in KERNELS:
        return convolution(width, width, KERNELS[name])
    return nn.MaxPool2d(3, stride=1, padding=1)


def _sum(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(parts)).sum(0) if len(parts) > 1 else parts[0]
