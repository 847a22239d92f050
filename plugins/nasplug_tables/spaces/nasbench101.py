"""The cell space of NAS-Bench-101 (Ying et al., ICML 2019), with networks that can be built."""

from __future__ import annotations

import json
import re
from functools import cached_property
from math import isqrt
from typing import Annotated, Any

import numpy as np
import torch
from torch import nn

from nasplug import NasplugError, PositiveInt, Range, SearchSpace, Variable
from nasplug.contracts.types import Architecture, Archs, BoolArray, FloatArray, IntArray
from nasplug_tables.spaces.graphs import count, pairs, prune, smallest
from nasplug_tables.spaces.nasbench101_network import OPERATIONS, Graph, network


class NasBench101(SearchSpace):
    """A cell is a graph from an input to an output over at most five operations, with at most nine
    edges; the network is three stacks of three such cells with 128, 256 and 512 channels.

    Nodes and edges on no way from the input to the output are none. Isomorphic graphs are one
    architecture; the one that the benchmark holds stands for all (the smallest bits, then
    operations), so that the published channels of each node are kept too: 423,624 architectures.

    `nodes` (input and output among them) and `edges` are the greatest numbers; fewer make a smaller
    space, as `channels`, `stacks` and `cells` (a stack) make smaller networks.
    """

    def __init__(
        self,
        nodes: Annotated[int, Range(ge=2)] = 7,
        edges: PositiveInt = 9,
        channels: PositiveInt = 128,
        stacks: PositiveInt = 3,
        cells: PositiveInt = 3,
        num_classes: PositiveInt | None = None,
        in_channels: PositiveInt | None = None,
        image_size: PositiveInt | None = None,
    ) -> None:
        if not 3 <= nodes <= 7:
            raise NasplugError(f"nodes must be 3 to 7, but got {nodes}")
        if edges < nodes - 1:
            raise NasplugError(
                f"edges must be at least {nodes - 1}, the chain of {nodes} nodes, but got {edges}"
            )
        if channels < nodes - 2:
            raise NasplugError(
                f"channels must be at least {nodes - 2}, one a node that they are shared among, but "
                f"got {channels}"
            )
        self.nodes = nodes
        self.edges = edges
        self.channels = channels
        self.stacks = stacks
        self.cells = cells
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.image_size = image_size
        self._classes, self._inputs, self._size = (
            num_classes or 10,
            in_channels or 3,
            image_size or 32,
        )
        self._pairs = pairs(nodes)

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """One variable per pair of nodes (0 or 1: whether there is an edge), then one per inner
        node: its operation."""
        edges = (Variable(f"edge{source}{target}", (0, 1)) for source, target in self._pairs)
        operations = (Variable(f"op{node}", OPERATIONS) for node in range(1, self.nodes - 1))
        return (*edges, *operations)

    @cached_property
    def size(self) -> int:
        """The number of valid graphs up to isomorphism, counted in closed form."""
        return count(self.nodes, self.edges, len(OPERATIONS))

    def active(self, archs: Archs) -> BoolArray:
        """Edges always take part; an operation does if its node lies on a path from input to
        output."""
        genes = np.asarray(archs, np.int64).reshape(-1, len(self.variables))
        edges = genes[:, : len(self._pairs)].astype(bool)
        used = prune(edges, self.nodes)[1]
        return np.hstack([np.ones_like(edges), used[:, 1:-1]])

    def canonical(self, archs: Archs) -> IntArray:
        """The representative of each isomorphism class, shape (n, v); all 0 where no path leads
        from the input to the output."""
        genes = np.asarray(archs, np.int64).reshape(-1, len(self.variables))
        edges, used = prune(genes[:, : len(self._pairs)].astype(bool), self.nodes)
        edges, operations = smallest(edges, genes[:, len(self._pairs) :], used, len(OPERATIONS))
        return np.hstack([edges.astype(np.int64), operations])

    def is_valid(self, archs: Archs) -> BoolArray:
        """Whether a path leads from input to output and there are at most `edges` edges; shape
        (n,)."""
        edges = np.asarray(archs, np.int64)[:, : len(self._pairs)].sum(axis=1)
        valid: BoolArray = (edges > 0) & (edges <= self.edges)
        return valid

    @property
    def smallest(self) -> Architecture:
        """The single edge from the input to the output."""
        return self._of({(0, self.nodes - 1)})

    @property
    def largest(self) -> Architecture:
        """A chain of 3 x 3 convolutions; the remaining edges connect the input to further nodes."""
        chain = {(node, node + 1) for node in range(self.nodes - 1)}
        more = [(0, node) for node in range(2, self.nodes)]
        return self._of(chain | set(more[: self.edges - len(chain)]))

    def neighbours(self, arch: Architecture) -> list[Architecture]:
        """All other valid architectures that differ by one edge, one operation, or one node
        inserted on an edge (a new node with a single edge would be pruned again)."""
        near, many = super().neighbours(arch), len(self._pairs)
        place = {pair: i for i, pair in enumerate(self._pairs)}
        for graph, new in self._with_room(arch):
            edits = [
                _changed(graph, {place[s, new]: 1, place[new, t]: 1, many + new - 1: k})
                for s in range(new)
                for t in range(new + 1, self.nodes)
                for k in range(len(OPERATIONS))
            ]
            near += self.valid(np.array(edits))
        return [a for a in dict.fromkeys(near) if a != tuple(arch)]

    def _with_room(self, arch: Architecture) -> list[tuple[IntArray, int]]:
        """Copies of the graph of `arch` with an unused node inserted at each inner position, and
        that position; empty where all nodes are used."""
        graph = self._graph(arch)
        found: list[tuple[IntArray, int]] = []
        if len(graph.operations) == self.nodes - 2:
            return found
        for new in range(1, graph.output + 1):
            moved = [n + (n >= new) for n in range(graph.output)] + [self.nodes - 1]
            operations = [*graph.operations[: new - 1], OPERATIONS[0], *graph.operations[new - 1 :]]
            edges = {(moved[s], moved[t]) for s, t in graph.edges}
            found.append((self._genes(edges, operations), new))
        return found

    def _of(self, edges: set[tuple[int, int]]) -> Architecture:
        arch: Architecture = tuple(self.canonical(self._genes(edges, [])[None])[0].tolist())
        return arch

    def _genes(self, edges: set[tuple[int, int]], operations: list[str]) -> IntArray:
        genes = np.zeros(len(self.variables), np.int64)
        genes[: len(self._pairs)] = [pair in edges for pair in self._pairs]
        genes[len(self._pairs) :][: len(operations)] = [OPERATIONS.index(o) for o in operations]
        return genes

    def _graph(self, arch: Architecture) -> Graph:
        many = len(self._pairs)
        inner = int(self.active([arch])[0, many:].sum())
        place = [*range(inner + 1), *[0] * (self.nodes - inner - 2), inner + 1]
        edges = frozenset(
            (place[s], place[t]) for (s, t), on in zip(self._pairs, arch[:many], strict=True) if on
        )
        return Graph(tuple(OPERATIONS[k] for k in arch[many : many + inner]), edges)

    def build(self, arch: Architecture) -> nn.Module:
        """The network of the benchmark."""
        return network(
            self._graph(arch), self.channels, self.stacks, self.cells, self._inputs, self._classes
        )

    def example_inputs(self, batch_size: int) -> tuple[torch.Tensor, ...]:
        """Black images, shape (batch_size, in_channels, image_size, image_size)."""
        return (torch.zeros(batch_size, self._inputs, self._size, self._size),)

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """params and macs, exact, from the convolutions of each cell."""
        each = np.array([self._cost(self._graph(tuple(a))) for a in self.canonical(archs).tolist()])
        return {"params": each[:, 0], "macs": each[:, 1]}

    def _cost(self, graph: Graph) -> tuple[float, float]:
        width, side = self.channels, self._size
        params = float(9 * self._inputs * width + 2 * width)
        macs = float(9 * self._inputs * width * side**2)
        for stack in range(self.stacks):
            side = -(-side // 2) if stack else side
            for cell in range(self.cells):
                wider = 2 * width if stack and not cell else width
                for inputs, outputs, kernel in graph.convolutions(width, wider):
                    params += inputs * outputs * kernel**2 + 2 * outputs
                    macs += inputs * outputs * kernel**2 * side**2
                width = wider
        return params + (width + 1) * self._classes, macs + width * self._classes

    def parse(self, text: str) -> Architecture:
        """The architecture of the benchmark's record: the adjacency matrix, row by row, and the
        operations, such as `010001000 input,conv3x3-bn-relu,output`; or of the JSON object
        `{"module_adjacency": [[..], ..], "module_operations": ["input", .., "output"]}`."""
        matrix, names = _record(text)
        side = len(names)
        arch: Architecture | None = None
        if (
            2 <= side <= self.nodes
            and matrix.shape == (side, side)
            and not np.tril(matrix).any()
            and (names[0], names[-1]) == ("input", "output")
            and set(names[1:-1]) <= set(OPERATIONS)
        ):
            moved = [*range(side - 1), self.nodes - 1]
            edges = {(moved[s], moved[t]) for s, t in np.argwhere(matrix).tolist()}
            arch = next(iter(self.valid(self._genes(edges, names[1:-1])[None])), None)
        if arch is None:
            raise NasplugError(
                f"a cell must be written like 010001000 input,{OPERATIONS[0]},output: an upper "
                f"triangular matrix, row by row, of at most {self.nodes} nodes and {self.edges} edges "
                f"from input to output, and operations of {', '.join(OPERATIONS)}, but got {text!r}"
            )
        return arch

    def format(self, arch: Architecture) -> str:
        """The benchmark's record of an architecture, pruned."""
        graph = self._graph(arch)
        nodes = range(graph.output + 1)
        bits = "".join(str(int((s, t) in graph.edges)) for s in nodes for t in nodes)
        return f"{bits} {','.join(('input', *graph.operations, 'output'))}"


def _record(text: str) -> tuple[IntArray, list[str]]:
    """The matrix and the operations that `text` contains; empty where it is no record."""
    nothing: tuple[IntArray, list[str]] = (np.zeros((0, 0), np.int64), [])
    if found := re.fullmatch(r"\s*([01]+)[\s:;|]+([\w,-]+)\s*", text):
        side = isqrt(len(found[1]))
        if side**2 != len(found[1]):
            return nothing
        return np.array([int(c) for c in found[1]]).reshape(side, side), found[2].split(",")
    try:
        record: Any = json.loads(text)
        matrix = np.array(record["module_adjacency"], np.int64)
        return matrix, [str(name) for name in record["module_operations"]]
    except (ValueError, KeyError, TypeError):
        return nothing


def _changed(genes: IntArray, values: dict[int, int]) -> IntArray:
    changed = genes.copy()
    changed[list(values)] = list(values.values())
    return changed
