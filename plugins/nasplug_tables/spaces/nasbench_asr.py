"""The cell space of NAS-Bench-ASR (Mehrotra et al., ICLR 2021), with networks that can be built."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from nasplug import NasplugError, NonNegativeInt, PositiveInt, SearchSpace, Variable
from nasplug.contracts.types import Architecture, Archs, FloatArray, IntArray
from nasplug_tables.spaces.graphs import pairs, prune, smallest
from nasplug_tables.spaces.nasbench_asr_network import (
    DEPTHS,
    KERNEL,
    KERNELS,
    OPERATIONS,
    STRIDES,
    Network,
    Node,
)

NODES = 3
STARTS = [0, 2, 5]
"""Where the genes of each node begin: its operation, then a skip from each earlier node."""

COUNTS = np.array([n for node in range(1, NODES + 1) for n in (len(OPERATIONS), *[2] * node)])


class NasBenchAsr(SearchSpace):
    """A cell of three nodes in a row, each one of six operations on the node before, to which any of
    the earlier nodes are added, the cell's input (node 0) among them.

    The network for spectrograms is four blocks of a convolution and 3, 4, 5 and 6 cells, an LSTM
    (`hidden` 0: none) and a linear classifier of phonemes and the blank.

    With `isomorphic`, cells that the benchmark holds for equal are one architecture (8,242 of them),
    the last that it lists standing for all; without, every one of its 13,824 lists is. It compares
    cells as graphs of operations, without those that are zero; a skip connection there comes from
    an operation alone, without what is added to it.
    """

    def __init__(
        self,
        mels: PositiveInt = 80,
        channels: Sequence[PositiveInt] = (600, 800, 1000, 1200),
        groups: PositiveInt = 100,
        hidden: NonNegativeInt = 500,
        frames: PositiveInt = 300,
        num_classes: PositiveInt | None = None,
        isomorphic: bool = True,
    ) -> None:
        if len(channels) != len(STRIDES) or any(width % groups for width in channels):
            raise NasplugError(
                f"channels must be {len(STRIDES)} multiples of groups, {groups}, but got "
                f"{list(channels)}"
            )
        self.mels = mels
        self.channels = list(channels)
        self.groups = groups
        self.hidden = hidden
        self.frames = frames
        self.num_classes = num_classes
        self.isomorphic = isomorphic
        self._classes = num_classes or 49

    @property
    def variables(self) -> tuple[Variable, ...]:
        """For each node, as in the benchmark's lists: its operation, then its skip connections."""
        found = []
        for node in range(1, NODES + 1):
            found.append(Variable(f"op{node}", OPERATIONS))
            found += [Variable(f"skip{source}{node}", (0, 1)) for source in range(node)]
        return tuple(found)

    def canonical(self, archs: Archs) -> IntArray:
        """The representative of each class of equal cells (`isomorphic`), or the cells unchanged;
        shape (n, 9)."""
        genes = np.asarray(archs, np.int64).reshape(-1, len(COUNTS))
        return _representatives()[genes @ _PLACES] if self.isomorphic else genes

    def build(self, arch: Architecture) -> nn.Module:
        """The network of the benchmark."""
        cell = [
            Node(OPERATIONS[arch[s]], tuple(i for i in range(n) if arch[s + 1 + i]))
            for n, s in enumerate(STARTS, start=1)
        ]
        return Network(cell, self.mels, self.channels, self.groups, self.hidden, self._classes)

    def example_inputs(self, batch_size: int) -> tuple[torch.Tensor, ...]:
        """Silent spectrograms, shape (batch_size, mels, frames)."""
        return (torch.zeros(batch_size, self.mels, self.frames),)

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """`params`, and `macs` for `frames` steps, exact, from the operations of a cell."""
        chosen = np.asarray(archs, np.int64)[:, STARTS]
        steps, inputs = self.frames, self.mels
        params, macs = np.zeros(len(chosen)), np.zeros(len(chosen))
        for width, stride, depth in zip(self.channels, STRIDES, DEPTHS, strict=True):
            steps = -(-steps // stride)
            params += KERNEL * inputs * width + 3 * width + depth * 2 * width
            macs += KERNEL * inputs * width * steps
            weights = np.array([self._weights(name, width) for name in OPERATIONS])
            biases = width * (weights > 0)
            params += depth * (weights + biases)[chosen].sum(axis=1)
            macs += depth * weights[chosen].sum(axis=1) * steps
            inputs = width
        gates = 4 * self.hidden * (inputs + self.hidden)
        last = self.hidden or inputs
        return {
            "params": params + gates + 8 * self.hidden + (last + 1) * self._classes,
            "macs": macs + (gates + last * self._classes) * steps,
        }

    def _weights(self, name: str, width: int) -> int:
        if name in KERNELS:
            return KERNELS[name][0] * width * width // self.groups
        return width * width if name == "linear" else 0

    def parse(self, text: str) -> Architecture:
        """The architecture of a list of the benchmark, such as `[[0, 1], [5, 1, 0], [3, 1, 1, 0]]`:
        for each node the number of its operation, then one bit per earlier node."""
        try:
            value: Any = json.loads(text)
            genes = [int(gene) for node in value for gene in node]
            fits = [len(node) for node in value] == [2, 3, 4]
            fits = fits and all(0 <= g < c for g, c in zip(genes, COUNTS, strict=True))
        except (ValueError, TypeError):
            fits = False
        if not fits:
            raise NasplugError(
                "a cell must be written like [[0, 1], [5, 1, 0], [3, 1, 1, 0]], an operation from 0 "
                f"to {len(OPERATIONS) - 1} ({', '.join(OPERATIONS)}) and bits for each of 3 nodes, "
                f"but got {text!r}"
            )
        arch: Architecture = tuple(self.canonical([tuple(genes)])[0].tolist())
        return arch

    def format(self, arch: Architecture) -> str:
        """The benchmark's list of an architecture."""
        return str([list(arch[start : start + 1 + n]) for n, start in enumerate(STARTS, start=1)])


_PLACES = np.cumprod([1, *COUNTS[:-1]])
"""What each gene is worth in the number of a cell: the place in which the benchmark lists it."""


@cache
def _representatives() -> IntArray:
    """For each of the 13,824 cells, the last cell that the benchmark treats as equal; shape (13824,
    9).

    The graph has a chain of input, three operations and output; a skip connection from node i past
    operation n is an edge from i to n + 1. Zero operations are removed, then everything that is on
    no path from input to output.
    """
    cells = np.arange(np.prod(COUNTS))[:, None] // _PLACES % COUNTS
    chosen = cells[:, STARTS]
    bit = {
        (source, node + 1): cells[:, start + 1 + source]
        for node, start in enumerate(STARTS, start=1)
        for source in range(node)
    }
    ends = pairs(NODES + 2)
    edges = np.stack([bit.get(pair, np.ones(len(cells))) for pair in ends], 1).astype(bool)
    kept = np.pad(chosen != OPERATIONS.index("zero"), ((0, 0), (1, 1)), constant_values=True)
    sources, targets = np.transpose(ends)
    edges, used = prune(edges & kept[:, sources] & kept[:, targets], NODES + 2)
    edges, labels = smallest(edges, chosen, used, len(OPERATIONS))
    graphs = np.hstack([edges, labels])
    _, group = np.unique(graphs, axis=0, return_inverse=True)
    last = np.zeros(group.max() + 1, np.int64)
    np.maximum.at(last, group.ravel(), np.arange(len(cells)))
    representatives: IntArray = cells[last[group.ravel()]]
    return representatives
