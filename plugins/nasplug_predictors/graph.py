"""Architectures as graphs, for graph networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nasplug import SearchSpace
from nasplug.contracts.capabilities import WiredSpace
from nasplug.contracts.types import BoolArray, FloatArray


@dataclass(frozen=True)
class Graph:
    """Nodes, one a design variable, then the input, the output and a global node that hears all.

    A node hears what feeds it and what it feeds. In a space with `links` these are the wires, the
    input feeds what nothing else does, and what feeds nothing feeds the output; in other spaces each
    variable feeds the next. A node is described by its option, in columns that variables with the
    same options share and in columns of its own; inactive variables have no description.
    """

    owners: BoolArray
    """Which columns of the features are of which variable, shape (v, f)."""

    words: FloatArray
    """What each column says in a node's description, shape (f, width - 3)."""

    flow: torch.Tensor
    """Who hears whom, rows summing to 1, shape (v + 3, v + 3)."""

    @staticmethod
    def of(space: SearchSpace) -> Graph:
        """The graph of a space's features."""
        variables = space.variables
        counts = [len(v.options) for v in variables]
        places = {v.name: i for i, v in enumerate(variables)}
        links = [(i, i + 1) for i in range(len(variables) - 1)]
        if isinstance(space, WiredSpace):
            links = [(places[a], places[b]) for a, b in space.links]
        kinds = list(dict.fromkeys(v.options for v in variables))
        starts = np.cumsum([0, *(len(options) for options in kinds)])
        shared = [starts[kinds.index(v.options)] + np.arange(len(v.options)) for v in variables]
        words = np.hstack([np.eye(starts[-1])[np.concatenate(shared)], np.eye(sum(counts))])
        owners = np.repeat(np.eye(len(counts), dtype=bool), counts, axis=1)
        return Graph(owners, words, _flow(len(counts), links))

    @staticmethod
    def of_columns(f: int) -> Graph:
        """The graph of features of which nothing is known: a node each."""
        return Graph(np.eye(f, dtype=bool), np.eye(f), _flow(f, [(i, i + 1) for i in range(f - 1)]))

    @property
    def width(self) -> int:
        """Numbers that describe a node."""
        return int(self.words.shape[1]) + 3

    def nodes(self, X: FloatArray) -> torch.Tensor:
        """Descriptions of the nodes of architectures with features (n, f), shape (n, v + 3, width)."""
        X = np.asarray(X, float)
        v = len(self.owners)
        nodes = np.zeros((len(X), v + 3, self.width), np.float32)
        nodes[:, :v, :-3] = (X[:, None, :] * self.owners) @ self.words
        nodes[:, range(v, v + 3), range(self.width - 3, self.width)] = 1
        return torch.from_numpy(nodes)


def _flow(v: int, links: list[tuple[int, int]]) -> torch.Tensor:
    """Neighbours hear each other and themselves; the global node, the last, hears all."""
    source, output, everything = v, v + 1, v + 2
    fed, feeds = {b for _, b in links}, {a for a, _ in links}
    wires = [
        *links,
        *((source, node) for node in range(v) if node not in fed),
        *((node, output) for node in range(v) if node not in feeds),
    ]
    hears = np.eye(v + 3)
    for one, other in wires:
        hears[one, other] = hears[other, one] = 1
    hears[everything] = 1
    return torch.from_numpy((hears / hears.sum(axis=1, keepdims=True)).astype(np.float32))
