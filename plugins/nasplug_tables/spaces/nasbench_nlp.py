"""The space of NAS-Bench-NLP (Klyuchnikov et al., IEEE Access 2022): recurrent cells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property, lru_cache
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import torch
from torch import nn

from nasplug import NasplugError, PositiveInt, SearchSpace, Variable, at_least
from nasplug.contracts.types import Architecture, Archs, BoolArray, FloatArray, IntArray
from nasplug_tables.spaces.nasbench_nlp_cell import (
    ARITY,
    LINEAR,
    OPERATIONS,
    SOURCES,
    STATES,
    Cell,
    Node,
)
from nasplug_tables.spaces.nasbench_nlp_network import LanguageModel

HEAD, SLOT = 1 + STATES, 4
"""Genes before the nodes, and of each node."""

ENUMERABLE = 2**16


class NasBenchNlp(SearchSpace):
    """Recurrent cells of at most `nodes` nodes and three hidden states, in a language model.

    A node is a linear map of two or three sources, an activation, an elementwise product or sum of
    two, or a blend of three; its sources are the input x, the hidden states and earlier nodes. Only
    linear maps may take x, and x and every hidden state must be used.

    Every way to write a cell is one architecture: nodes that no state depends on are none, the rest
    are ordered. What is written but cannot be is read as something near: a state that the cell does
    not have as one that it has, x where it may not stand as the first hidden state, the node of a
    second hidden state that is already the first's as the next one.
    """

    def __init__(
        self,
        nodes: PositiveInt = 24,
        embedding: PositiveInt = 400,
        hidden: PositiveInt = 600,
        layers: PositiveInt = 3,
        vocabulary: PositiveInt = 10_000,
        steps: PositiveInt = 70,
    ) -> None:
        at_least("nodes", nodes, 1)
        self.nodes = nodes
        self.embedding = embedding
        self.hidden = hidden
        self.layers = layers
        self.vocabulary = vocabulary
        self.steps = steps

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """The number of hidden states and the node that each is set to; for each node its
        operation, and its sources, as many as the operation takes."""
        names = tuple(f"node_{n}" for n in range(self.nodes))
        found = [Variable("states", tuple(range(1, min(STATES, self.nodes) + 1)))]
        found += [Variable(f"state{k}", names) for k in range(STATES)]
        for n in range(self.nodes):
            sources = (*SOURCES, *names[:n])
            found.append(Variable(f"op{n}", OPERATIONS))
            found.append(Variable(f"first{n}", sources[1:]))
            found += [Variable(f"{place}{n}", sources) for place in ("second", "third")]
        return tuple(found)

    @cached_property
    def size(self) -> int:
        """Exact for few nodes; otherwise the number of ways to write cells of `nodes` nodes, which
        is far larger than the number of cells."""
        if prod(len(v.options) for v in self.variables) <= ENUMERABLE:
            return len(self.enumerate())
        return prod(
            sum((len(SOURCES) + n) ** arity for arity in ARITY.values()) for n in range(self.nodes)
        )

    def active(self, archs: Archs) -> BoolArray:
        """The nodes on which a state depends, each with as many sources as its operation takes."""
        genes = np.asarray(archs, np.int64).reshape(-1, len(self.variables))
        on = np.zeros(genes.shape, bool)
        on[:, 0] = True
        for row, arch in zip(on, genes.tolist(), strict=True):
            cell = _read(tuple(arch))
            row[1 : 1 + len(cell.states)] = True
            for node in cell.used:
                start = HEAD + SLOT * node
                row[start : start + 1 + len(cell.nodes[node].inputs)] = True
        return on

    def canonical(self, archs: Archs) -> IntArray:
        """The cells in canonical order, shape (n, v)."""
        genes = np.asarray(archs, np.int64).reshape(-1, len(self.variables))
        rows = [_genes(_cell(tuple(arch)), self.nodes) for arch in genes.tolist()]
        return np.array(rows, np.int64).reshape(genes.shape)

    def is_valid(self, archs: Archs) -> BoolArray:
        """Whether x and every hidden state are used; shape (n,)."""
        genes = np.asarray(archs, np.int64).reshape(-1, len(self.variables))
        return np.array([_cell(tuple(arch)).complete for arch in genes.tolist()], bool)

    def neighbours(self, arch: Architecture) -> list[Architecture]:
        """All other valid architectures that differ by one operation, source or state, or by one
        node inserted on an edge."""
        near, cell = super().neighbours(arch), _cell(tuple(arch))
        if len(cell.nodes) < self.nodes:
            near += self.valid([_genes(more.ordered(), self.nodes) for more in cell.grown()])
        return [a for a in dict.fromkeys(near) if a != tuple(arch)]

    @property
    def largest(self) -> Architecture:
        """A chain of linear maps, each of the previous node, a hidden state and x."""
        states = min(STATES, self.nodes)
        nodes = [
            Node("linear3", (len(SOURCES) + n - 1 if n else 1, 1 + n % states, 0))
            for n in range(self.nodes)
        ]
        last = tuple(self.nodes - 1 - k for k in range(states))
        return _genes(Cell(tuple(nodes), last).ordered(), self.nodes)

    def build(self, arch: Architecture) -> nn.Module:
        """The language model of the benchmark, without its dropout."""
        return LanguageModel(
            _cell(tuple(arch)), self.vocabulary, self.embedding, self.hidden, self.layers
        )

    def example_inputs(self, batch_size: int) -> tuple[torch.Tensor, ...]:
        """Word number 0 at every step, shape (batch_size, steps)."""
        return (torch.zeros(batch_size, self.steps, dtype=torch.long),)

    def costs(self, archs: Archs) -> dict[str, FloatArray]:
        """params, exact."""
        return {
            "params": np.array([self._params(tuple(arch)) for arch in np.asarray(archs).tolist()])
        }

    def _params(self, arch: Architecture) -> float:
        widths = [self.embedding, *[self.hidden] * (self.layers - 1), self.embedding]
        total = self.vocabulary * (self.embedding + 1)
        for inputs, width in pairwise(widths):
            for node in _cell(arch).nodes:
                if node.operation in LINEAR:
                    total += width * (1 + sum(width if s else inputs for s in node.inputs))
        return float(total)

    def parse(self, text: str) -> Architecture:
        """The architecture of a recipe of the benchmark, such as
        `{"node_0": {"op": "linear", "input": ["x", "h_prev_0"]},
        "h_new_0": {"op": "activation_tanh", "input": ["node_0"]}}`; nodes may have any name."""
        try:
            cell = _recipe(json.loads(text))
            fits = len(cell.nodes) <= self.nodes and cell.complete
        except (ValueError, KeyError, TypeError, AttributeError):
            fits = False
        if not fits:
            raise NasplugError(
                'a cell must be written like {"i": {"op": "linear", "input": ["x", "h_prev_0"]}, '
                '"h_new_0": {"op": "activation_tanh", "input": ["i"]}}, with operations linear, '
                f"{', '.join(OPERATIONS[len(LINEAR) :])}, at most {self.nodes} nodes, x in linear "
                f"alone, and every state used, but got {text!r}"
            )
        return _genes(cell, self.nodes)

    def format(self, arch: Architecture) -> str:
        """The recipe of an architecture."""
        cell = _cell(tuple(arch))
        names = [*SOURCES, *(f"node_{n}" for n in range(len(cell.nodes)))]
        for k, node in enumerate(cell.states):
            names[len(SOURCES) + node] = f"h_new_{k}"
        recipe = {
            name: {
                "op": "linear" if node.operation in LINEAR else node.operation,
                "input": [names[source] for source in node.inputs],
            }
            for name, node in zip(names[len(SOURCES) :], cell.nodes, strict=True)
        }
        return json.dumps(recipe)


def _recipe(recipe: Mapping[str, Any]) -> Cell:
    """The cell of a recipe, in canonical order; ValueError or KeyError where it is none."""
    order: list[str] = []
    left = dict(recipe)
    while left:
        known = {*SOURCES, *order}
        ready = [name for name, node in left.items() if set(node["input"]) <= known]
        if not ready:
            raise ValueError("sources that are no nodes, or a circle")
        order += ready
        for name in ready:
            del left[name]
    number = {name: n for n, name in enumerate([*SOURCES, *order])}
    nodes = []
    for name in order:
        inputs = tuple(number[source] for source in recipe[name]["input"])
        operation = recipe[name]["op"]
        operation = f"linear{len(inputs)}" if operation == "linear" else operation
        if len(inputs) != ARITY[operation] or (0 in inputs and operation not in LINEAR):
            raise ValueError(f"{operation} of {inputs}")
        nodes.append(Node(operation, inputs))
    count = sum(name.startswith("h_new_") and name[6:].isdigit() for name in order)
    if count > STATES:
        raise ValueError("too many states")
    states = tuple(number[f"h_new_{k}"] - len(SOURCES) for k in range(count))
    if any(0 < source < len(SOURCES) and source > count for n in nodes for source in n.inputs):
        raise ValueError("a state that is not computed")
    cell = Cell(tuple(nodes), states).ordered()
    if any(set(node.inputs) == {0} for node in cell.nodes):
        raise ValueError("a linear map of x alone")
    return cell


# ---- genes ---------------------------------------------------------------------------------------


def _read(genes: Architecture) -> Cell:
    """The cell that the genes describe; genes out of range are replaced by the nearest valid ones."""
    nodes = (len(genes) - HEAD) // SLOT
    count = 1 + genes[0]
    states: list[int] = []
    for node in genes[1 : 1 + count]:
        while node in states:
            node = (node + 1) % nodes
        states.append(node)
    found: dict[int, Node] = {}
    waiting = list(states)
    while waiting:
        if (node := waiting.pop()) not in found:
            found[node] = _node(genes, HEAD + SLOT * node, count)
            waiting += [s - len(SOURCES) for s in found[node].inputs if s >= len(SOURCES)]
    return Cell(tuple(found.get(n, UNUSED) for n in range(nodes)), tuple(states))


UNUSED = Node(OPERATIONS[-1], (1,))
"""In place of a node that no state depends on."""


def _node(genes: Architecture, start: int, count: int) -> Node:
    """The node whose genes begin at `start`, of a cell of `count` states."""
    operation = OPERATIONS[genes[start]]
    inputs = (genes[start + 1] + 1, *genes[start + 2 : start + SLOT])[: ARITY[operation]]
    if operation not in LINEAR:
        inputs = tuple(source or 1 for source in inputs)
    near = (1 + (s - 1) % count if 0 < s < len(SOURCES) else s for s in inputs)
    return Node(operation, tuple(near))


@lru_cache(maxsize=2**16)
def _cell(genes: Architecture) -> Cell:
    return _read(genes).ordered()


def _genes(cell: Cell, nodes: int) -> Architecture:
    genes = [0] * (HEAD + SLOT * nodes)
    genes[0] = len(cell.states) - 1
    genes[1 : 1 + len(cell.states)] = cell.states
    for n, node in enumerate(cell.nodes):
        start = HEAD + SLOT * n
        genes[start] = OPERATIONS.index(node.operation)
        genes[start + 1 : start + 1 + len(node.inputs)] = [
            node.inputs[0] - 1,
            *node.inputs[1:],
        ]
    return tuple(genes)
