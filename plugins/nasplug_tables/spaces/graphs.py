"""Labelled graphs from an input to an output: their pruned, isomorphism-invariant form, and how many
there are. A graph is a row of bits, one a pair of nodes, and a row of labels of the inner nodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import permutations
from math import fsum

import numpy as np

from nasplug.contracts.types import BoolArray, FloatArray, IntArray


def pairs(nodes: int) -> list[tuple[int, int]]:
    """All pairs (from, to) of nodes in the order of the bits: first those into node 1, then into 2,
    .."""
    return [(source, target) for target in range(1, nodes) for source in range(target)]


def prune(edges: BoolArray, nodes: int) -> tuple[BoolArray, BoolArray]:
    """Edges (n, e) and nodes (n, nodes) that lie on a path from the first to the last node.

    `edges` has shape (n, e). Where there is no such path, no edge and no node is kept.
    """
    matrix = np.zeros((len(edges), nodes, nodes), bool)
    sources, targets = np.transpose(pairs(nodes))
    matrix[:, sources, targets] = edges
    ahead = np.zeros((len(edges), nodes), bool)
    ahead[:, 0] = True
    for node in range(1, nodes):
        ahead[:, node] = (matrix[:, :node, node] & ahead[:, :node]).any(axis=1)
    back = np.zeros_like(ahead)
    back[:, -1] = True
    for node in reversed(range(nodes - 1)):
        back[:, node] = (matrix[:, node, node + 1 :] & back[:, node + 1 :]).any(axis=1)
    used = ahead & back
    return edges & used[:, sources] & used[:, targets], used


def smallest(
    edges: BoolArray, labels: IntArray, used: BoolArray, kinds: int
) -> tuple[BoolArray, IntArray]:
    """The canonical form of each graph: its isomorphic copy with the smallest edge bits, then the
    smallest labels; shapes (n, e) and (n, nodes - 2).

    The bits are read as a number, the first pair being the lowest bit. Nodes that are not `used`
    come last among the inner nodes, with label 0. `edges` must be pruned.
    """
    nodes = used.shape[1]
    table = _orders(nodes)
    bits, upper = edges @ table.bits, edges @ table.upper
    inner = used[:, 1:-1].astype(float)
    places = kinds ** np.arange(nodes - 2)[::-1]
    order = (labels * inner) @ places[table.position].T
    first = inner @ table.position.T
    packed = inner.sum(axis=1) * (inner.sum(axis=1) - 1) / 2
    fits = (upper == edges.sum(axis=1)[:, None]) & (first == packed[:, None])
    key = np.where(fits, bits * kinds ** (nodes - 2) + order, np.inf).min(axis=1).astype(np.int64)
    number, order = np.divmod(key, kinds ** (nodes - 2))
    bit = number[:, None] >> np.arange(edges.shape[1]) & 1
    return bit.astype(bool), order[:, None] // places % kinds


def count(nodes: int, most: int, kinds: int) -> int:
    """The number of graphs up to isomorphism with 2 to `nodes` nodes, every node on a path from the
    first to the last, at most `most` edges, and `kinds` labels.

    By Burnside's lemma: over all graphs with ascending edges, sum the labellings that each
    automorphism keeps, and divide by the number of ways in which the graph can be written.
    """
    total = []
    for size in range(2, nodes + 1):
        many = size * (size - 1) // 2
        numbers = np.arange(2**many, dtype="<u4").view(np.uint8).reshape(-1, 4)
        bits = np.unpackbits(numbers, axis=1, count=many, bitorder="little")
        edges = bits[bits.sum(axis=1) <= most].astype(bool)
        edges = edges[prune(edges, size)[1].all(axis=1)]
        table = _orders(size)
        written = edges @ table.upper == edges.sum(axis=1)[:, None]
        same = written & (edges @ table.bits == (edges @ 2.0 ** np.arange(many))[:, None])
        total += (same @ (float(kinds) ** table.cycles) / written.sum(axis=1)).tolist()
    return round(fsum(total))


@dataclass(frozen=True)
class _Orders:
    """All permutations of the inner nodes, as matrices that apply each of them to many graphs at
    once.

    position: the place that each inner node takes, shape (orders, nodes - 2).
    bits: (e, orders), the value of each edge in the number of the permuted graph.
    upper: (e, orders), 1 where the permuted edge still ascends.
    cycles: (orders,), the number of cycles of the permutation.
    """

    position: IntArray
    bits: FloatArray
    upper: FloatArray
    cycles: IntArray


@cache
def _orders(nodes: int) -> _Orders:
    position = np.array(list(permutations(range(nodes - 2))), np.int64)
    whole = np.pad(position + 1, ((0, 0), (1, 1)))
    whole[:, -1] = nodes - 1
    edges = np.array(pairs(nodes))
    source, target = whole[:, edges[:, 0]].T, whole[:, edges[:, 1]].T
    upper = (source < target).astype(float)
    bits = upper * 2.0 ** (target * (target - 1) // 2 + source)
    return _Orders(position, bits, upper, np.array([_cycles(p) for p in position.tolist()]))


def _cycles(permutation: list[int]) -> int:
    left, found = set(range(len(permutation))), 0
    while left:
        found += 1
        node = left.pop()
        while (node := permutation[node]) in left:
            left.remove(node)
    return found
