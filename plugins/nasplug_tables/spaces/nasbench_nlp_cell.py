"""Recurrent cells as graphs: pruned, and ordered the same way however they were written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

STATES = 3
"""Hidden states of a cell at most."""

SOURCES = ("x", *(f"h_prev_{k}" for k in range(STATES)))
"""What a cell is given; number 4 and up are its own nodes."""

ARITY = {
    "linear2": 2,
    "linear3": 3,
    "blend": 3,
    "elementwise_prod": 2,
    "elementwise_sum": 2,
    "activation_tanh": 1,
    "activation_sigm": 1,
    "activation_leaky_relu": 1,
}
"""Inputs of every operation; `blend` of z, a and b is z a + (1 - z) b."""

OPERATIONS = tuple(ARITY)
LINEAR = ("linear2", "linear3")
COMMUTATIVE = (*LINEAR, "elementwise_prod", "elementwise_sum")


@dataclass(frozen=True)
class Node:
    """An operation and the numbers of its sources."""

    operation: str
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Cell:
    """A cell: nodes, each after its sources, and for every hidden state the node that it is set to."""

    nodes: tuple[Node, ...]
    states: tuple[int, ...]

    @property
    def complete(self) -> bool:
        """Whether x and every hidden state are used."""
        used = {source for node in self.nodes for source in node.inputs}
        return set(range(1 + len(self.states))) <= used and len(set(self.states)) == len(
            self.states
        )

    def ordered(self) -> Cell:
        """The same cell without the nodes that no state depends on, in an order that depends on the
        graph alone: by colour refinement, then by where a node's sources stand.

        Inputs that may be swapped stand in descending order.
        """
        colours = self._colours()
        place = {source: source for source in range(len(SOURCES))}
        left, nodes = set(colours), []
        while left:
            ready = [n for n in left if all(s in place for s in self.nodes[n].inputs)]
            node = min(ready, key=lambda n: (colours[n], self._placed(n, place), n))
            left.remove(node)
            nodes.append(Node(self.nodes[node].operation, self._placed(node, place)))
            place[len(SOURCES) + node] = len(SOURCES) + len(nodes) - 1
        states = tuple(place[len(SOURCES) + node] - len(SOURCES) for node in self.states)
        return Cell(tuple(nodes), states)

    def grown(self) -> Iterator[Cell]:
        """All cells with one more node, inserted between a source and a node, or between a node and
        a state."""
        for place, node in enumerate(self.nodes):
            for position, source in enumerate(node.inputs):
                for new in _on_the_way(source):
                    yield self._with(new, place, position)
        for k, last in enumerate(self.states):
            for new in _on_the_way(len(SOURCES) + last):
                states = (*self.states[:k], len(self.nodes), *self.states[k + 1 :])
                yield Cell((*self.nodes, new), states)

    def _with(self, new: Node, place: int, position: int) -> Cell:
        """`new` before the node at `place`, as its input at `position`."""

        def moved(source: int) -> int:
            return source + (source >= len(SOURCES) + place)

        nodes = [Node(n.operation, tuple(map(moved, n.inputs))) for n in self.nodes]
        inputs = list(nodes[place].inputs)
        inputs[position] = len(SOURCES) + place
        nodes[place] = Node(nodes[place].operation, tuple(inputs))
        states = tuple(moved(len(SOURCES) + n) - len(SOURCES) for n in self.states)
        return Cell((*nodes[:place], new, *nodes[place:]), states)

    def _placed(self, node: int, place: dict[int, int]) -> tuple[int, ...]:
        inputs = [place[source] for source in self.nodes[node].inputs]
        swap = self.nodes[node].operation in COMMUTATIVE
        return tuple(sorted(inputs, reverse=True) if swap else inputs)

    @property
    def used(self) -> set[int]:
        """The nodes on which a state depends."""
        found: set[int] = set()
        waiting = list(self.states)
        while waiting:
            if (node := waiting.pop()) not in found:
                found.add(node)
                inputs = self.nodes[node].inputs
                waiting += [s - len(SOURCES) for s in inputs if s >= len(SOURCES)]
        return found

    def _colours(self) -> dict[int, int]:
        """A number a used node, the same for two nodes only where the graph around them is."""
        used = sorted(self.used)
        keys: dict[int, Any] = {
            n: (
                OPERATIONS.index(self.nodes[n].operation),
                [k for k, state in enumerate(self.states) if state == n],
            )
            for n in used
        }
        colours = _ranks(keys)
        while True:
            finer = _ranks({n: self._around(n, used, colours) for n in used})
            if len(set(finer.values())) == len(set(colours.values())):
                return finer
            colours = finer

    def _around(self, node: int, used: Sequence[int], colours: dict[int, int]) -> Any:
        """The colours of a node, of its inputs, and of those that it is an input of."""
        me = len(SOURCES) + node
        below = [
            -s - 1 if s < len(SOURCES) else colours[s - len(SOURCES)]
            for s in self.nodes[node].inputs
        ]
        above = [
            (colours[n], 0 if self.nodes[n].operation in COMMUTATIVE else place)
            for n in used
            for place, source in enumerate(self.nodes[n].inputs)
            if source == me
        ]
        swap = self.nodes[node].operation in COMMUTATIVE
        return colours[node], sorted(below) if swap else below, sorted(above)


def _on_the_way(source: int) -> list[Node]:
    """Nodes that can be inserted between `source` and the node that uses it."""
    activations = [Node(name, (source,)) for name in OPERATIONS if ARITY[name] == 1 and source]
    return [Node("linear2", (source or 1, 0)), *activations]


def _ranks(keys: dict[int, Any]) -> dict[int, int]:
    order = sorted(keys.values())
    return {n: order.index(key) for n, key in keys.items()}
